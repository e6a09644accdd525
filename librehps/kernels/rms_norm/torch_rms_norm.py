"""Zero-centred RMS norm in torch, in blocks of rows that stay in the cache.

For the gradient only the inputs are kept; plain operators would keep two float32 copies of ``x``.
"""

from __future__ import annotations

from typing import Any

import torch

from librehps.kernels.arguments import compute_dtype
from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.rows import row_blocks
from librehps.typing import Float, Tensor

__all__ = ["rms_norm_torch", "unit_rows"]


def rms_norm_torch(
    x: Float[Tensor, "... D"], weight: Float[Tensor, " D"], *, eps: float
) -> Float[Tensor, "... D"]:
    """Compute `librehps.kernels.rms_norm`."""
    return _RMSNorm.apply(eps, x.reshape(-1, x.shape[-1]), weight).view(x.shape)


def unit_rows(x: Tensor, eps: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return rows divided by their root mean square, and the factors, in ``dtype``."""
    wide = x.to(dtype)
    factor = wide.square().mean(dim=-1, keepdim=True).add_(eps).rsqrt_()
    return wide * factor, factor


class _RMSNorm(torch.autograd.Function):
    """Forward and gradient for [rows, D]."""

    @staticmethod
    def forward(ctx: Any, eps: float, *tensors: Tensor) -> Tensor:
        x, weight = tensors
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        dtype = compute_dtype(x, weight)
        scale = 1 + weight.to(dtype)
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        for rows in row_blocks(x):
            y[rows] = unit_rows(x[rows], eps, dtype)[0].mul_(scale)
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@first_derivative_only
def _gradients(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    dtype = compute_dtype(x, weight)
    scale = 1 + weight.to(dtype)
    grad_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    grad_weight = torch.zeros_like(scale)
    for rows in row_blocks(x):
        unit, factor = unit_rows(x[rows], ctx.eps, dtype)
        grad = grad_y[rows].to(dtype)
        grad_weight += (grad * unit).sum(dim=0)
        grad = grad * scale
        # The factor depends on x: what is along x is taken out of the gradient.
        grad -= unit * (grad * unit).mean(dim=-1, keepdim=True)
        grad_x[rows] = grad * factor
    return None, grad_x, grad_weight.to(weight.dtype)
