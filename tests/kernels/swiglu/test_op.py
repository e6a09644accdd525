"""Tests of the checks of the gated activation."""

from __future__ import annotations

from inspect import unwrap

import pytest
import torch

from librehps.errors import BackendError, InputError
from librehps.kernels.swiglu import swiglu
from librehps.kernels.swiglu.reference import swiglu_reference


def test_the_op_gives_the_definition() -> None:
    gate, up = torch.randn(3, 8), torch.randn(3, 8)
    torch.testing.assert_close(swiglu(gate, up), swiglu_reference(gate, up))


def test_bad_arguments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(InputError, match="expected one dtype"):
        swiglu(torch.ones(3, 8), torch.ones(3, 8, dtype=torch.bfloat16))
    with pytest.raises(BackendError):
        swiglu(torch.ones(3, 8), torch.ones(3, 8), impl="triton")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("up", torch.ones(3, 7), "argument_shape"),
        ("up", torch.ones(8), "argument_shape"),
        ("up", torch.ones(3, 8, dtype=torch.int64), "argument_dtype"),
        ("gate", torch.ones(3, 8, dtype=torch.int64), "argument_dtype"),
    ],
)
def test_the_error_names_the_argument(name: str, value: torch.Tensor, code: str) -> None:
    given = {"gate": torch.ones(3, 8), "up": torch.ones(3, 8), name: value}
    # Without the shape checks that only the tests switch on, a user sees the op's own errors.
    with pytest.raises(InputError, match=name) as caught:
        unwrap(swiglu)(**given)
    assert (caught.value.code, caught.value.item) == (code, name)


def test_a_tensor_on_another_device_is_named() -> None:
    with pytest.raises(InputError, match="up on meta"):
        swiglu(torch.ones(3, 8), torch.ones(3, 8, device="meta"))
