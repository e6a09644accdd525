from __future__ import annotations

import pytest

from librehps.errors import ConfigError, InputError
from librehps.inputs.limits import ImageLimits


@pytest.mark.parametrize(
    ("height", "width", "code"),
    [
        (1, 1, "image_too_small"),
        (2, 1, "image_too_small"),
        (0, 5, "image_too_small"),
        (1, 20000, "image_aspect_ratio"),
        (20000, 1, "image_aspect_ratio"),
        (100, 20001, "image_aspect_ratio"),
        (30000, 30000, "image_too_large"),
        (1, 2**31, "image_too_large"),
    ],
)
def test_sizes_outside_the_limits_are_refused(height: int, width: int, code: str) -> None:
    with pytest.raises(InputError) as caught:
        ImageLimits().check_size(height=height, width=width)
    assert caught.value.code == code


def test_sizes_at_the_limits_pass() -> None:
    limits = ImageLimits(max_pixels=400, max_bytes=10)
    limits.check_size(height=2, width=2)
    limits.check_size(height=2, width=200)
    limits.check_size(height=20, width=20)
    ImageLimits().check_size(height=100, width=20000)
    limits.check_bytes(10)
    with pytest.raises(InputError, match="the limit is 10 bytes") as caught:
        limits.check_bytes(11)
    assert caught.value.code == "image_too_large"


@pytest.mark.parametrize(
    "bad",
    [
        {"max_pixels": 0},
        {"max_bytes": 0},
        {"min_side": 0},
        {"max_aspect_ratio": 0.5},
        {"max_aspect_ratio": float("nan")},
    ],
)
def test_limits_that_admit_nothing_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError) as caught:
        ImageLimits(**bad)
    assert caught.value.code == "image_limits"
