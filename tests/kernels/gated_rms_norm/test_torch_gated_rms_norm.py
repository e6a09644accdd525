"""Tests of the blocked gated RMS norm against its definition."""

from __future__ import annotations

import pytest
import torch

from librehps.kernels import rows
from librehps.kernels.gated_rms_norm.reference import gated_rms_norm_reference
from librehps.kernels.gated_rms_norm.torch_gated_rms_norm import gated_rms_norm_torch
from librehps.testing.tolerances import TOLERANCES, relative_rms


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(1, 8), (5, 3, 40)], ids=str)
def test_forward_and_gradients_equal_the_definition(
    shape: tuple[int, ...], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_ELEMENTS", 100)
    generator = torch.Generator().manual_seed(0)
    x, gate, up = (torch.randn(shape, generator=generator).to(dtype) for _ in range(3))
    # The weight stays in float32 beside bfloat16 activations, as in a checkpoint.
    weight = torch.randn(shape[-1], generator=generator)
    weight = weight.to(torch.promote_types(dtype, torch.float32))
    results = []
    for function in (gated_rms_norm_torch, gated_rms_norm_reference):
        own = [tensor.clone().requires_grad_() for tensor in (x, gate, weight)]
        y = function(*own, eps=1e-3)
        results.append((y, *torch.autograd.grad(y, own, up)))
    limit = TOLERANCES[f"norms_{str(dtype).removeprefix('torch.')}"].limit
    for actual, expected in zip(*results, strict=True):
        assert actual.dtype == expected.dtype
        assert relative_rms(actual, expected) <= limit


def test_a_row_does_not_depend_on_the_others() -> None:
    generator = torch.Generator().manual_seed(0)
    x, gate = (torch.randn(100, 32, 128, generator=generator) for _ in range(2))
    weight = torch.linspace(-1, 1, 128)
    packed = gated_rms_norm_torch(x, gate, weight, eps=1e-6)
    for token in (0, 31, 32, 99):
        own = slice(token, token + 1)
        alone = gated_rms_norm_torch(x[own].clone(), gate[own].clone(), weight, eps=1e-6)
        assert torch.equal(alone, packed[own])
