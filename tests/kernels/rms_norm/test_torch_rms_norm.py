"""Tests of the blocked zero-centred RMS norm against its definition."""

from __future__ import annotations

import pytest
import torch

from librehps.kernels import rows
from librehps.kernels.rms_norm.reference import rms_norm_reference
from librehps.kernels.rms_norm.torch_rms_norm import rms_norm_torch, unit_rows
from librehps.testing.tolerances import TOLERANCES, relative_rms


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(1, 8), (37, 24), (2, 5, 3, 40)], ids=str)
def test_forward_and_gradients_equal_the_definition(
    shape: tuple[int, ...], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_ELEMENTS", 100)
    generator = torch.Generator().manual_seed(0)
    x, up = (torch.randn(shape, generator=generator).to(dtype) for _ in range(2))
    weight = torch.randn(shape[-1], generator=generator).to(dtype)
    results = []
    for function in (rms_norm_torch, rms_norm_reference):
        own = [tensor.clone().requires_grad_() for tensor in (x, weight)]
        y = function(*own, eps=1e-3)
        results.append((y, *torch.autograd.grad(y, own, up)))
    limit = TOLERANCES[f"norms_{str(dtype).removeprefix('torch.')}"].limit
    for actual, expected in zip(*results, strict=True):
        assert actual.dtype == dtype
        assert relative_rms(actual, expected) <= limit


def test_a_row_does_not_depend_on_the_others() -> None:
    x = torch.randn(300, 2560, generator=torch.Generator().manual_seed(0))
    weight = torch.linspace(-1, 1, 2560)
    packed = rms_norm_torch(x, weight, eps=1e-6)
    for row in (0, 51, 52, 299):
        alone = rms_norm_torch(x[row : row + 1].clone(), weight, eps=1e-6)
        assert torch.equal(alone[0], packed[row])


def test_unit_rows_have_unit_root_mean_square() -> None:
    unit, factor = unit_rows(torch.full((2, 4), 3.0), 0.0, torch.float64)
    torch.testing.assert_close(unit, torch.ones(2, 4, dtype=torch.float64))
    torch.testing.assert_close(factor, torch.full((2, 1), 1 / 3, dtype=torch.float64))
