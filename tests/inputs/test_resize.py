from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from librehps.errors import ConfigError, InputError
from librehps.inputs.resize import PixelBudget, resize, smart_resize

SIDES = st.integers(min_value=1, max_value=30_000)
QWEN = PixelBudget(min_pixels=65_536, max_pixels=16_777_216)


@st.composite
def budgets(draw: st.DrawFn) -> PixelBudget:
    factor = draw(st.sampled_from([14, 16, 28, 32]))
    low = draw(st.integers(min_value=1, max_value=2**20))
    return PixelBudget(low, draw(st.integers(max(low, factor**2), 2**24)), factor)


@pytest.mark.parametrize(
    ("size", "expected", "tokens"),
    [
        ((1080, 1920), (1088, 1920), 2040),
        ((224, 224), (256, 256), 64),
        ((480, 640), (480, 640), 300),
        ((6000, 8000), (3520, 4704), 16170),
    ],
)
def test_known_sizes(size: tuple[int, int], expected: tuple[int, int], tokens: int) -> None:
    assert smart_resize(*size, budget=QWEN) == expected
    assert expected[0] * expected[1] == tokens * 32 * 32


def test_ties_round_to_even() -> None:
    # 48 / 32 = 1.5 -> 2 and 80 / 32 = 2.5 -> 2: Python's rounding, not the one from school.
    budget = PixelBudget(min_pixels=1, max_pixels=2**20)
    assert smart_resize(48, 80, budget=budget) == (64, 64)


@given(SIDES, SIDES, budgets())
def test_sides_are_multiples_and_follow_the_picture(h: int, w: int, budget: PixelBudget) -> None:
    assume(max(h, w) <= 200 * min(h, w))
    factor = budget.factor
    new_h, new_w = smart_resize(h, w, budget=budget)
    assert new_h >= factor
    assert new_w >= factor
    assert new_h % factor == new_w % factor == 0
    # One common scale for both sides: 1, or what brings the area to a bound.
    scales = (1.0, math.sqrt(budget.max_pixels / (h * w)), math.sqrt(budget.min_pixels / (h * w)))
    assert any(
        abs(new_h - scale * h) <= factor and abs(new_w - scale * w) <= factor for scale in scales
    )


@given(SIDES, SIDES)
def test_the_area_is_within_the_budget(h: int, w: int) -> None:
    assume(max(h, w) <= 200 * min(h, w))
    budget = PixelBudget()
    new_h, new_w = smart_resize(h, w, budget=budget)
    assert budget.min_pixels <= new_h * new_w <= budget.max_pixels


@given(SIDES, SIDES)
def test_a_resized_picture_stays_as_it_is(h: int, w: int) -> None:
    # Rounding the short side down can push an aspect ratio of nearly 200 over the limit.
    assume(max(h, w) <= 100 * min(h, w))
    once = smart_resize(h, w)
    assert smart_resize(*once) == once


@given(SIDES, SIDES)
def test_turning_the_picture_turns_the_result(h: int, w: int) -> None:
    assume(max(h, w) <= 200 * min(h, w))
    assert smart_resize(h, w) == smart_resize(w, h)[::-1]


def test_aspect_ratio_limit() -> None:
    assert smart_resize(10, 2000)[0] == 32
    for size in ((10, 2001), (1, 20000), (20000, 1)):
        with pytest.raises(InputError) as caught:
            smart_resize(*size)
        assert caught.value.code == "image_aspect_ratio"
    with pytest.raises(InputError) as caught:
        smart_resize(0, 5)
    assert caught.value.code == "image_too_small"


@given(budgets())
def test_a_budget_survives_its_dict(budget: PixelBudget) -> None:
    assert PixelBudget.from_dict(budget.to_dict()) == budget


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"min_pixels": 1, "max_pixels": 4096},
        {"min_pixels": 1, "max_pixels": 4096, "factor": 32, "patch": 16},
        {"min_pixels": 5000, "max_pixels": 4096, "factor": 32},
        {"min_pixels": 1, "max_pixels": 1000, "factor": 32},
        {"min_pixels": 0, "max_pixels": 4096, "factor": 32},
        {"min_pixels": 1, "max_pixels": 4096, "factor": True},
    ],
)
def test_budgets_that_make_no_sense_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ConfigError) as caught:
        PixelBudget.from_dict(values)
    assert caught.value.code == "pixel_budget"


def test_resize_is_pillow_s_bicubic() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (37, 61, 3), dtype=np.uint8)
    got = resize(pixels, height=64, width=32)
    wanted = Image.fromarray(pixels).resize((32, 64), resample=Image.Resampling.BICUBIC)
    assert got.shape == (64, 32, 3)
    assert np.array_equal(got, np.asarray(wanted))


def test_the_right_size_is_not_copied() -> None:
    pixels = np.zeros((32, 64, 3), np.uint8)
    assert resize(pixels, height=32, width=64) is pixels


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((0, 8, 3), np.uint8)],
)
def test_resize_refuses_what_is_no_picture(pixels: np.ndarray) -> None:
    with pytest.raises(InputError) as caught:
        resize(pixels, height=32, width=32)
    assert caught.value.code == "tensor_layout"
