"""Tests of the checks of the gated delta rule."""

from __future__ import annotations

from inspect import unwrap
from typing import Any

import pytest
import torch

from librehps.errors import BackendError, ConfigError, InputError
from librehps.kernels.gated_delta_rule import gated_delta_rule
from librehps.kernels.gated_delta_rule.op import MAX_WIDTH, check_arguments, unfit
from librehps.kernels.gated_delta_rule.reference import gated_delta_rule_reference
from librehps.testing.tolerances import TOLERANCES, relative_rms


def good() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(5, 2, 4, generator=generator) for _ in range(2))
    return {
        "q": q,
        "k": k,
        "v": torch.randn(5, 4, 3, generator=generator),
        "g": -torch.rand(5, 4, generator=generator),
        "beta": torch.rand(5, 4, generator=generator),
        "cu_seqlens": torch.tensor([0, 2, 5]),
        "initial_state": None,
    }


def test_the_op_gives_the_definition() -> None:
    for actual, expected in zip(
        gated_delta_rule(**good()), gated_delta_rule_reference(**good()), strict=True
    ):
        assert relative_rms(actual, expected) <= TOLERANCES["delta_rule_float32"].limit


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("k", torch.ones(5, 2, 5), "argument_shape"),
        ("v", torch.ones(5, 3, 3), "argument_shape"),
        ("g", torch.ones(5, 2), "argument_shape"),
        ("beta", torch.ones(4, 4), "argument_shape"),
        ("beta", torch.ones(5, 4, dtype=torch.int64), "argument_dtype"),
        ("initial_state", torch.ones(2, 4, 3, 4), "argument_shape"),
        ("initial_state", torch.ones(2, 4, 4, 3, device="meta"), "argument_device"),
        ("cu_seqlens", torch.tensor([0, 2, 2, 5]), "boundaries"),
    ],
)
def test_bad_arguments_are_refused(name: str, value: torch.Tensor, code: str) -> None:
    given = good() | {name: value, "chunk_size": 64}
    with pytest.raises(InputError) as caught:
        check_arguments(given.pop("q"), given.pop("k"), given.pop("v"), **given)
    assert caught.value.code == code


def test_odd_chunks_are_refused() -> None:
    with pytest.raises(ConfigError, match="chunk_size is 48"):
        gated_delta_rule(**good(), chunk_size=48)


def test_what_the_triton_kernels_cannot_take_is_refused_before_a_launch() -> None:
    wide = {"q": torch.ones(5, 2, MAX_WIDTH + 1), "k": torch.ones(5, 2, MAX_WIDTH + 1)}
    for given, reason in (
        ({"q": good()["q"].half()}, "of one dtype, and these are float16, float32"),
        ({"g": good()["g"].double()}, "computes in float32, and an argument is float64"),
        (wide, "keys of 1 to 128 elements"),
    ):
        with pytest.raises(BackendError, match=reason):
            gated_delta_rule(**good() | given, impl="triton")
    own = good()
    assert "at least one" in str(unfit(own["q"], own["k"], torch.ones(5, 4, 0)))
    taken = good()
    gates = (taken["g"], taken["beta"], None, None)
    assert unfit(taken["q"], taken["k"], taken["v"], gates=gates) is None
    gates = (taken["g"], taken["beta"], torch.zeros(4).double(), torch.zeros(4))
    assert unfit(taken["q"], taken["k"], taken["v"], gates=gates) is not None


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("q", torch.ones(1, 5, 2, 4), "argument_shape"),
        ("k", torch.ones(5, 2, 4, dtype=torch.int64), "argument_dtype"),
        ("v", torch.ones(4, 4, 3), "argument_shape"),
        ("v", torch.ones(5, 4, 3, dtype=torch.bool), "argument_dtype"),
        ("g", torch.ones(5, 4, 1), "argument_shape"),
        ("beta", torch.ones(5, 2), "argument_shape"),
        ("initial_state", torch.ones(1, 4, 4, 3), "argument_shape"),
        ("initial_state", torch.ones(2, 4, 4, 3, dtype=torch.int64), "argument_dtype"),
        ("A_log", torch.ones(4), "argument_missing"),
        ("dt_bias", torch.ones(4), "argument_missing"),
        ("cu_seqlens", torch.tensor([0, 2, 4]), "boundaries"),
        ("cu_seqlens", torch.tensor([0, 4, 2, 5]), "boundaries"),
        ("cu_seqlens", torch.tensor([0.0, 5.0]), "argument_dtype"),
        ("cu_seqlens", torch.tensor([[0, 5]]), "argument_shape"),
    ],
)
def test_the_error_names_the_argument(name: str, value: torch.Tensor, code: str) -> None:
    given = good() | {name: value, "chunk_size": 64}
    # What is missing is named, not what is there.
    name = {"A_log": "dt_bias", "dt_bias": "A_log"}.get(name, name)
    with pytest.raises(InputError, match=name) as caught:
        check_arguments(given.pop("q"), given.pop("k"), given.pop("v"), **given)
    assert (caught.value.code, caught.value.item) == (code, name)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (torch.ones(3), "argument_shape"),
        (torch.ones(4, dtype=torch.int32), "argument_dtype"),
        (torch.ones(4, device="meta"), "argument_device"),
    ],
)
@pytest.mark.parametrize("name", ["A_log", "dt_bias"])
def test_bad_gates_are_refused(name: str, value: torch.Tensor, code: str) -> None:
    given = good() | {"A_log": torch.ones(4), "dt_bias": torch.ones(4), "chunk_size": 64}
    given[name] = value
    with pytest.raises(InputError, match=name) as caught:
        check_arguments(given.pop("q"), given.pop("k"), given.pop("v"), **given)
    assert (caught.value.code, caught.value.item) == (code, name)


def test_heads_that_cannot_be_shared_equally_are_refused() -> None:
    given = good() | {"v": torch.ones(5, 3, 3), "chunk_size": 64}
    given |= {name: torch.ones(5, 3) for name in ("g", "beta")}
    with pytest.raises(InputError, match="3 value heads cannot share 2 key heads") as caught:
        check_arguments(given.pop("q"), given.pop("k"), given.pop("v"), **given)
    assert caught.value.item == "v"


@pytest.mark.parametrize("name", ["q", "k", "v", "g", "beta", "cu_seqlens"])
def test_an_argument_on_another_device_is_named(name: str) -> None:
    given = good() | {"chunk_size": 64}
    given[name] = given[name].to("meta")
    with pytest.raises(InputError, match=f"{name} on meta"):
        check_arguments(given.pop("q"), given.pop("k"), given.pop("v"), **given)


def test_an_unknown_implementation_is_refused() -> None:
    with pytest.raises(ConfigError, match="'fla'; known: auto, triton, torch"):
        gated_delta_rule(**good(), impl="fla")


def test_a_decay_that_grows_is_refused_and_a_projection_is_not() -> None:
    q, g = torch.ones(4, 1, 2), torch.full((4, 1), 0.5)
    bounds = torch.tensor([0, 4])
    with pytest.raises(InputError, match="at most 0") as caught:
        gated_delta_rule(q, q, q, g, g, cu_seqlens=bounds)
    assert (caught.value.code, caught.value.item) == ("argument_value", "g")
    one = torch.ones(1)
    o, _ = gated_delta_rule(q, q, q, g, g, cu_seqlens=bounds, A_log=one, dt_bias=one)
    assert o.isfinite().all()


@pytest.mark.parametrize(
    ("shapes", "item"),
    [(((3, 2, 0), (3, 2, 4)), "q"), (((3, 2, 4), (3, 2, 0)), "v"), (((3, 2, 4), (3, 0, 4)), "v")],
    ids=["no width", "no depth", "no heads"],
)
def test_nothing_to_remember_is_refused(shapes: Any, item: str) -> None:
    q, v = (torch.ones(shape) for shape in shapes)
    g = torch.zeros(v.shape[:2])
    with pytest.raises(InputError) as caught:
        unwrap(gated_delta_rule)(q, q, v, g, g, cu_seqlens=torch.tensor([0, 3]))
    assert (caught.value.code, caught.value.item) == ("argument_shape", item)


def test_a_chunk_is_a_whole_number_of_tokens() -> None:
    given: dict[str, Any] = good() | {"initial_state": None, "chunk_size": 64.0}
    q, k, v = (given.pop(name) for name in "qkv")
    with pytest.raises(ConfigError, match=r"64\.0"):
        unwrap(check_arguments)(q, k, v, **given)
