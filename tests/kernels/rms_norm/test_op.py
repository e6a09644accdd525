"""Tests of the checks of the zero-centred RMS norm."""

from __future__ import annotations

import pytest
import torch

from librehps.errors import BackendError, InputError
from librehps.kernels.rms_norm import rms_norm
from librehps.kernels.rms_norm.reference import rms_norm_reference


def test_the_op_gives_the_definition() -> None:
    x, weight = torch.randn(3, 8, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
    torch.testing.assert_close(
        rms_norm(x, weight, eps=1e-6), rms_norm_reference(x, weight, eps=1e-6)
    )


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="on different devices"):
        rms_norm(torch.ones(3, 8), torch.ones(8, device="meta"), eps=1e-6)
    with pytest.raises(BackendError):
        rms_norm(torch.ones(3, 8), torch.ones(8), eps=1e-6, impl="triton")
