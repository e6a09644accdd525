"""Tests of the definition of the rotary embedding."""

from __future__ import annotations

import math

import torch

from librehps.kernels.rotary.reference import rotary_reference


def test_pairs_turn_by_their_angle_and_the_rest_passes() -> None:
    x = torch.tensor([[[1.0, 5.0, 0.0, 6.0, 7.0]]], dtype=torch.float64)
    angles = torch.tensor([[math.pi / 2, 0.0, math.pi / 2, 0.0]], dtype=torch.float64)
    y = rotary_reference(x, angles.cos(), angles.sin())
    # Dimension 0 is paired with 2, and 1 with 3; dimension 4 has no angle.
    expected = torch.tensor([[[0.0, 5.0, 1.0, 6.0, 7.0]]], dtype=torch.float64)
    torch.testing.assert_close(y, expected)
