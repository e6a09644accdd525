"""Tests of the checks of the rotary embedding."""

from __future__ import annotations

from inspect import unwrap

import pytest
import torch

from librehps.errors import BackendError, InputError
from librehps.kernels.rotary import rotary
from librehps.kernels.rotary.reference import rotary_reference


def test_the_op_gives_the_definition() -> None:
    x, angles = torch.randn(3, 2, 8), torch.randn(3, 4)
    torch.testing.assert_close(
        rotary(x, angles.cos(), angles.sin()), rotary_reference(x, angles.cos(), angles.sin())
    )


@pytest.mark.parametrize("width", [3, 10])
def test_an_odd_or_too_wide_rotation_is_refused(width: int) -> None:
    with pytest.raises(InputError, match=f"cos covers {width} dimensions") as caught:
        rotary(torch.ones(3, 2, 8), torch.ones(3, width), torch.ones(3, width))
    assert caught.value.code == "argument_shape"


def test_a_kernel_that_cannot_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(BackendError):
        rotary(torch.ones(3, 2, 8), torch.ones(3, 4), torch.ones(3, 4), impl="triton")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x", torch.ones(3, 8), "argument_shape"),
        ("x", torch.ones(3, 2, 8, dtype=torch.int64), "argument_dtype"),
        ("cos", torch.ones(2, 4), "argument_shape"),
        ("cos", torch.ones(1, 3, 4), "argument_shape"),
        ("sin", torch.ones(3, 2), "argument_shape"),
        ("sin", torch.ones(3, 4, dtype=torch.bool), "argument_dtype"),
    ],
)
def test_the_error_names_the_argument(name: str, value: torch.Tensor, code: str) -> None:
    given = {"x": torch.ones(3, 2, 8), "cos": torch.ones(3, 4), "sin": torch.ones(3, 4)}
    # Without the shape checks that only the tests switch on, a user sees the op's own errors.
    with pytest.raises(InputError, match=name) as caught:
        unwrap(rotary)(**(given | {name: value}))
    assert (caught.value.code, caught.value.item) == (code, name)


def test_angles_on_another_device_are_named() -> None:
    with pytest.raises(InputError, match="sin on meta"):
        rotary(torch.ones(3, 2, 8), torch.ones(3, 4), torch.ones(3, 4, device="meta"))
