"""Tests of the triton gated activation alone; `tests/kernels/test_triton_rows.py` has the rest."""

from __future__ import annotations

import torch

from librehps.kernels.swiglu.torch_swiglu import swiglu_torch
from librehps.kernels.swiglu.triton_swiglu import swiglu_triton


def test_silu_is_rounded_before_the_product(triton_device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    gate, up = (torch.randn(64, 128, generator=generator).half() for _ in range(2))
    gate, up = gate.to(triton_device), up.to(triton_device)
    # Without the rounding a third of the elements differ in the last bit.
    assert (swiglu_triton(gate, up) == swiglu_torch(gate, up)).double().mean() > 0.99
