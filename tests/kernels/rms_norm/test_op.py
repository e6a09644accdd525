"""Tests of the checks of the zero-centred RMS norm."""

from __future__ import annotations

from inspect import unwrap

import pytest
import torch

from librehps.errors import BackendError, ConfigError, InputError
from librehps.kernels.rms_norm import rms_norm
from librehps.kernels.rms_norm.reference import rms_norm_reference


def test_the_op_gives_the_definition() -> None:
    x, weight = torch.randn(3, 8, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
    torch.testing.assert_close(
        rms_norm(x, weight, eps=1e-6), rms_norm_reference(x, weight, eps=1e-6)
    )


def test_bad_arguments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(InputError, match="on different devices"):
        rms_norm(torch.ones(3, 8), torch.ones(8, device="meta"), eps=1e-6)
    with pytest.raises(BackendError):
        rms_norm(torch.ones(3, 8), torch.ones(8), eps=1e-6, impl="triton")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("weight", torch.ones(7), "argument_shape"),
        ("weight", torch.ones(1, 8), "argument_shape"),
        ("weight", torch.ones(8, dtype=torch.int64), "argument_dtype"),
        ("x", torch.ones(3, 8, dtype=torch.int64), "argument_dtype"),
        ("x", torch.ones(()), "argument_shape"),
        ("x", torch.ones(3, 0), "argument_shape"),
    ],
)
def test_the_error_names_the_argument(name: str, value: torch.Tensor, code: str) -> None:
    given = {"x": torch.ones(3, 8), "weight": torch.ones(8), name: value}
    # Without the shape checks that only the tests switch on, a user sees the op's own errors.
    with pytest.raises(InputError, match=name) as caught:
        unwrap(rms_norm)(**given, eps=1e-6)
    assert (caught.value.code, caught.value.item) == (code, name)


def test_an_unknown_implementation_is_refused() -> None:
    with pytest.raises(ConfigError, match="'apex'; known: auto, triton, torch"):
        rms_norm(torch.ones(3, 8), torch.ones(8), eps=1e-6, impl="apex")
