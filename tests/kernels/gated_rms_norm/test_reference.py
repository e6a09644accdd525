"""Tests of the definition of the gated RMS norm."""

from __future__ import annotations

import torch

from librehps.kernels.gated_rms_norm.reference import gated_rms_norm_reference


def test_the_norm_comes_before_the_gate_and_the_weight_is_plain() -> None:
    x = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    gate = torch.tensor([[0.0, 2.0]], dtype=torch.float64)
    weight = torch.tensor([5.0, 2.0], dtype=torch.float64)
    y = gated_rms_norm_reference(x, gate, weight, eps=0.5)
    silu = 2.0 * torch.tensor(2.0, dtype=torch.float64).sigmoid()
    expected = torch.stack([torch.zeros_like(silu), 2.0 * 4.0 / 13.0**0.5 * silu])[None]
    torch.testing.assert_close(y, expected)
