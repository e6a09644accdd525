"""Tests of the rotary embedding against its definition."""

from __future__ import annotations

import pytest
import torch

from librehps.kernels.rotary.reference import rotary_reference
from librehps.kernels.rotary.torch_rotary import rotary_torch
from librehps.testing.tolerances import TOLERANCES, relative_rms


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("wide_angles", [False, True], ids=["same", "float32_angles"])
@pytest.mark.parametrize(("width", "turned"), [(16, 4), (16, 16), (7, 2)])
def test_forward_and_gradient_equal_the_definition(
    width: int, turned: int, wide_angles: bool, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    x, up = (torch.randn(5, 3, width, generator=generator).to(dtype) for _ in range(2))
    angles = torch.randn(5, turned // 2, generator=generator).repeat(1, 2)
    angle_dtype = torch.promote_types(dtype, torch.float32) if wide_angles else dtype
    cos, sin = angles.cos().to(angle_dtype), angles.sin().to(angle_dtype)
    results = []
    for function in (rotary_torch, rotary_reference):
        own = x.clone().requires_grad_()
        y = function(own, cos, sin)
        results.append((y, *torch.autograd.grad(y, own, up)))
    limit = TOLERANCES[f"norms_{str(dtype).removeprefix('torch.')}"].limit
    for actual, expected in zip(*results, strict=True):
        assert actual.dtype == dtype
        assert relative_rms(actual, expected) <= limit
