"""Tests of the checks of the gated RMS norm."""

from __future__ import annotations

from inspect import unwrap

import pytest
import torch

from librehps.errors import BackendError, InputError
from librehps.kernels.gated_rms_norm import gated_rms_norm
from librehps.kernels.gated_rms_norm.reference import gated_rms_norm_reference


def test_the_op_gives_the_definition() -> None:
    x, gate, weight = (torch.randn(*s, dtype=torch.float64) for s in ((3, 8), (3, 8), (8,)))
    torch.testing.assert_close(
        gated_rms_norm(x, gate, weight, eps=1e-6),
        gated_rms_norm_reference(x, gate, weight, eps=1e-6),
    )


def test_bad_arguments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    x = torch.ones(3, 8)
    with pytest.raises(InputError, match="on different devices"):
        gated_rms_norm(x, x, torch.ones(8, device="meta"), eps=1e-6)
    with pytest.raises(BackendError):
        gated_rms_norm(x, x, torch.ones(8), eps=1e-6, impl="triton")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("gate", torch.ones(8), "argument_shape"),
        ("gate", torch.ones(3, 8, dtype=torch.int64), "argument_dtype"),
        ("weight", torch.ones(7), "argument_shape"),
        ("weight", torch.ones(8, dtype=torch.bool), "argument_dtype"),
        ("x", torch.ones(3, 8, dtype=torch.int64), "argument_dtype"),
        ("x", torch.ones(()), "argument_shape"),
        ("x", torch.ones(3, 0), "argument_shape"),
    ],
)
def test_the_error_names_the_argument(name: str, value: torch.Tensor, code: str) -> None:
    x = torch.ones(3, 8)
    given = {"x": x, "gate": x, "weight": torch.ones(8), name: value}
    # Without the shape checks that only the tests switch on, a user sees the op's own errors.
    with pytest.raises(InputError, match=name) as caught:
        unwrap(gated_rms_norm)(**given, eps=1e-6)
    assert (caught.value.code, caught.value.item) == (code, name)
