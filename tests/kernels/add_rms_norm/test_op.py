"""Tests of the checks of the residual addition with the norm of the sum."""

from __future__ import annotations

from inspect import unwrap

import pytest
import torch

from librehps.errors import BackendError, ConfigError, InputError
from librehps.kernels.add_rms_norm import add_rms_norm
from librehps.kernels.rms_norm import rms_norm

ONES = torch.ones(3, 8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_it_is_an_addition_and_a_norm_to_the_last_bit(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x, residual = (torch.randn(5, 8, generator=generator).to(dtype) for _ in range(2))
    weight = torch.randn(8, generator=generator).to(dtype)
    y, total = add_rms_norm(x, residual, weight, eps=1e-6)
    assert torch.equal(total, residual + x)
    assert torch.equal(y, rms_norm(residual + x, weight, eps=1e-6))


@pytest.mark.parametrize(
    "order", [(torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)]
)
def test_the_sum_of_two_dtypes_has_the_wider_one(order: tuple[torch.dtype, torch.dtype]) -> None:
    # As under autocast, where a layer gives bfloat16 to a float32 stream.
    generator = torch.Generator().manual_seed(0)
    x, residual = (torch.randn(5, 8, generator=generator).to(dtype) for dtype in order)
    weight = torch.randn(8, generator=generator)
    y, total = add_rms_norm(x, residual, weight, eps=1e-6)
    assert y.dtype == total.dtype == torch.float32
    assert torch.equal(total, residual + x)
    assert torch.equal(y, rms_norm(residual + x, weight, eps=1e-6))


def test_bad_arguments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(InputError, match="on different devices"):
        add_rms_norm(ONES, ONES, torch.ones(8, device="meta"), eps=1e-6)
    with pytest.raises(BackendError):
        add_rms_norm(ONES, ONES, torch.ones(8), eps=1e-6, impl="triton")
    with pytest.raises(ConfigError, match="'apex'; known: auto, triton, torch"):
        add_rms_norm(ONES, ONES, torch.ones(8), eps=1e-6, impl="apex")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("weight", torch.ones(7), "argument_shape"),
        ("weight", torch.ones(8, dtype=torch.int64), "argument_dtype"),
        ("x", torch.ones(3, 8, dtype=torch.int64), "argument_dtype"),
        ("x", torch.ones(3, 0), "argument_shape"),
        ("residual", torch.ones(1, 8), "argument_shape"),
        ("residual", torch.ones(3, 8, dtype=torch.bool), "argument_dtype"),
    ],
)
def test_the_error_names_the_argument(name: str, value: torch.Tensor, code: str) -> None:
    given = {"x": ONES, "residual": ONES, "weight": torch.ones(8), name: value}
    # Without the shape checks that only the tests switch on, a user sees the op's own errors.
    with pytest.raises(InputError, match=name) as caught:
        unwrap(add_rms_norm)(**given, eps=1e-6)
    assert (caught.value.code, caught.value.item) == (code, name)
