"""Tests of the checks of the causal convolution."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from librehps.errors import BackendError, ConfigError, InputError
from librehps.kernels.causal_conv1d import causal_conv1d
from librehps.kernels.causal_conv1d.op import check_arguments
from librehps.kernels.causal_conv1d.reference import causal_conv1d_reference

GOOD: dict[str, Any] = {
    "x": torch.ones(5, 3),
    "weight": torch.ones(3, 4),
    "cu_seqlens": torch.tensor([0, 2, 5]),
    "bias": None,
    "initial_state": None,
    "activation": "silu",
}


def test_the_op_gives_the_definition() -> None:
    for actual, expected in zip(
        causal_conv1d(**GOOD), causal_conv1d_reference(**GOOD), strict=True
    ):
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("weight", torch.ones(2, 4), "argument_shape"),
        ("weight", torch.ones(3, 1), "argument_shape"),
        ("x", torch.ones(5, 3, dtype=torch.int32), "argument_dtype"),
        ("initial_state", torch.ones(2, 3, 4), "argument_shape"),
        ("cu_seqlens", torch.tensor([0, 2]), "boundaries"),
    ],
)
def test_bad_arguments_are_refused(name: str, value: torch.Tensor, code: str) -> None:
    given = GOOD | {name: value}
    with pytest.raises(InputError) as caught:
        check_arguments(given.pop("x"), given.pop("weight"), **given)
    assert caught.value.code == code


def test_other_activations_are_refused() -> None:
    given = GOOD | {"activation": "gelu"}
    with pytest.raises(ConfigError, match="'gelu'"):
        check_arguments(given.pop("x"), given.pop("weight"), **given)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x", torch.ones(1, 5, 3), "argument_shape"),
        ("weight", torch.ones(3, 1, 4), "argument_shape"),
        ("weight", torch.ones(3, 4, dtype=torch.int64), "argument_dtype"),
        ("bias", torch.ones(4), "argument_shape"),
        ("bias", torch.ones(3, 1), "argument_shape"),
        ("bias", torch.ones(3, dtype=torch.int64), "argument_dtype"),
        ("initial_state", torch.ones(1, 3, 3), "argument_shape"),
        ("initial_state", torch.ones(2, 3, 3, dtype=torch.int64), "argument_dtype"),
        ("cu_seqlens", torch.tensor([0, 3, 2, 5]), "boundaries"),
        ("cu_seqlens", torch.tensor([0.0, 5.0]), "argument_dtype"),
    ],
)
def test_the_error_names_the_argument(name: str, value: torch.Tensor, code: str) -> None:
    given = GOOD | {name: value}
    with pytest.raises(InputError, match=name) as caught:
        check_arguments(given.pop("x"), given.pop("weight"), **given)
    assert (caught.value.code, caught.value.item) == (code, name)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("weight", (3, 4)), ("bias", (3,)), ("initial_state", (2, 3, 3)), ("cu_seqlens", (3,))],
)
def test_an_argument_on_another_device_is_named(name: str, shape: tuple[int, ...]) -> None:
    given = GOOD | {name: torch.ones(shape, device="meta")}
    with pytest.raises(InputError, match=f"{name} on meta"):
        check_arguments(given.pop("x"), given.pop("weight"), **given)


@pytest.mark.parametrize("impl", ["torch", "triton"])
def test_bad_arguments_are_refused_before_anything_runs(impl: str) -> None:
    with pytest.raises(InputError, match="cu_seqlens must rise"):
        causal_conv1d(**GOOD | {"cu_seqlens": torch.tensor([0, 6, 5])}, impl=impl)


def test_triton_is_refused_where_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(BackendError, match="needs a CUDA device"):
        causal_conv1d(**GOOD, impl="triton")


def test_an_unknown_implementation_is_refused() -> None:
    with pytest.raises(ConfigError, match="'conv'; known: auto, triton, torch"):
        causal_conv1d(**GOOD, impl="conv")
