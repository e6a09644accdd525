"""Tests of the definition of the residual addition with the norm of the sum."""

from __future__ import annotations

import torch

from librehps.kernels.add_rms_norm.reference import add_rms_norm_reference


def test_known_values() -> None:
    x = torch.tensor([[1.0, 5.0], [2.0, 0.0]], dtype=torch.float64)
    residual = torch.tensor([[2.0, -1.0], [-2.0, 0.0]], dtype=torch.float64)
    weight = torch.tensor([0.0, 1.0], dtype=torch.float64)
    y, total = add_rms_norm_reference(x, residual, weight, eps=0.5)
    root = (12.5 + 0.5) ** 0.5
    expected = torch.tensor([[3 / root, 8 / root], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(total, x + residual)
