"""Tests of the blocked gated activation against its definition."""

from __future__ import annotations

import pytest
import torch

from librehps.kernels import rows
from librehps.kernels.swiglu.reference import swiglu_reference
from librehps.kernels.swiglu.torch_swiglu import swiglu_torch
from librehps.testing.tolerances import TOLERANCES, relative_rms


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(8,), (37, 24), (2, 5, 40)], ids=str)
def test_forward_and_gradients_equal_the_definition(
    shape: tuple[int, ...], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_ELEMENTS", 100)
    generator = torch.Generator().manual_seed(0)
    gate, value, up = (torch.randn(shape, generator=generator).to(dtype) for _ in range(3))
    results = []
    for function in (swiglu_torch, swiglu_reference):
        own = [tensor.clone().requires_grad_() for tensor in (gate, value)]
        y = function(*own)
        results.append((y, *torch.autograd.grad(y, own, up)))
    limit = TOLERANCES[f"norms_{str(dtype).removeprefix('torch.')}"].limit
    for actual, expected in zip(*results, strict=True):
        assert actual.dtype == dtype
        assert relative_rms(actual, expected) <= limit


def test_a_row_does_not_depend_on_the_others() -> None:
    generator = torch.Generator().manual_seed(0)
    gate, up = (torch.randn(70, 9216, generator=generator) for _ in range(2))
    packed = swiglu_torch(gate, up)
    for row in (0, 13, 14, 69):
        own = slice(row, row + 1)
        assert torch.equal(swiglu_torch(gate[own].clone(), up[own].clone()), packed[own])
