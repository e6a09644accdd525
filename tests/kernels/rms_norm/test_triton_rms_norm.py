"""Tests of the triton RMS norm alone; `tests/kernels/test_triton_rows.py` has the rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from librehps.kernels.rms_norm.reference import rms_norm_reference
from librehps.kernels.rms_norm.torch_rms_norm import rms_norm_torch
from librehps.kernels.rms_norm.triton_rms_norm import rms_norm_triton
from librehps.testing.tolerances import TOLERANCES


@pytest.mark.parametrize("norm", [rms_norm_triton, rms_norm_torch])
def test_where_the_gradient_cancels_it_is_as_good_as_its_terms(
    norm: Callable[..., Tensor], triton_device: torch.device
) -> None:
    generator = torch.Generator().manual_seed(0)
    # Rows of one element: of their terms, only a part of eps / x² is left.
    x, up = (torch.randn(500, 1, generator=generator) for _ in range(2))
    x, up, weight = (t.to(triton_device) for t in (x.sign() + x, up, torch.tensor([0.3])))

    def gradient(function: Callable[..., Tensor], dtype: torch.dtype) -> Tensor:
        leaf = x.to(dtype).requires_grad_()
        y = function(leaf, weight.to(dtype), eps=1e-6)
        return torch.autograd.grad(y, leaf, up.to(dtype))[0].double()

    wanted = gradient(rms_norm_reference, torch.float64)
    error = (gradient(norm, torch.float32) - wanted).square().mean().sqrt()
    terms = (up * (1 + weight) / x).double().square().mean().sqrt()
    assert wanted.abs().max() < 1e-5 * terms
    assert error <= TOLERANCES["norms_float32"].limit * terms
