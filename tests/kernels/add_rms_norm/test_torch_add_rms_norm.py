"""Tests of the residual addition with the norm of the sum in torch against its definition."""

from __future__ import annotations

import pytest
import torch

from librehps.kernels import rows
from librehps.kernels.add_rms_norm.reference import add_rms_norm_reference
from librehps.kernels.add_rms_norm.torch_add_rms_norm import add_rms_norm_torch
from librehps.testing.agreement import disagreement
from librehps.testing.tolerances import TOLERANCES


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(1, 8), (37, 24), (2, 5, 3, 40)], ids=str)
def test_forward_and_gradients_equal_the_definition(
    shape: tuple[int, ...], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_ELEMENTS", 100)
    generator = torch.Generator().manual_seed(0)
    sizes = {"x": shape, "residual": shape, "weight": shape[-1:]}
    tensors = {k: torch.randn(size, generator=generator).to(dtype) for k, size in sizes.items()}
    errors = disagreement(add_rms_norm_torch, add_rms_norm_reference, tensors, eps=1e-3)
    assert set(errors) == {"y0", "y1", *tensors}
    assert max(errors.values()) <= TOLERANCES[f"norms_{str(dtype).removeprefix('torch.')}"].limit
