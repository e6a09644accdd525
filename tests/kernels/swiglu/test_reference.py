"""Tests of the definition of the gated activation."""

from __future__ import annotations

import torch

from librehps.kernels.swiglu.reference import swiglu_reference


def test_known_values() -> None:
    gate = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)
    up = torch.tensor([9.0, 2.0, 3.0], dtype=torch.float64)
    e = torch.tensor(1.0, dtype=torch.float64).exp()
    expected = torch.stack([e * 0, 2 / (1 + 1 / e), -3 / (1 + e)])
    torch.testing.assert_close(swiglu_reference(gate, up), expected)
