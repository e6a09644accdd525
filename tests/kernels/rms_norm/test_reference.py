"""Tests of the definition of the zero-centred RMS norm."""

from __future__ import annotations

import torch

from librehps.kernels.rms_norm.reference import rms_norm_reference


def test_known_values() -> None:
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    weight = torch.tensor([0.0, 1.0], dtype=torch.float64)
    y = rms_norm_reference(x, weight, eps=0.5)
    root = (12.5 + 0.5) ** 0.5
    expected = torch.tensor([[3 / root, 8 / root], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(y, expected)
