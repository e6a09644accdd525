"""Gated RMS norm in torch, with the cast order of the published checkpoints.

Works in blocks of rows that stay in the cache and keeps only its inputs for the gradient, where
plain operators would keep five arrays of the size of ``x`` in float32.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from librehps.kernels.arguments import compute_dtype
from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.rms_norm.torch_rms_norm import unit_rows
from librehps.kernels.rows import row_blocks
from librehps.typing import Float, Tensor

__all__ = ["gated_rms_norm_torch"]


def gated_rms_norm_torch(
    x: Float[Tensor, "... V"],
    gate: Float[Tensor, "... V"],
    weight: Float[Tensor, " V"],
    *,
    eps: float,
) -> Float[Tensor, "... V"]:
    """Compute `librehps.kernels.gated_rms_norm`."""
    width = x.shape[-1]
    rows = _GatedNorm.apply(eps, x.reshape(-1, width), gate.reshape(-1, width), weight)
    return rows.view(x.shape)


class _GatedNorm(torch.autograd.Function):
    """Forward and gradient for [rows, V]."""

    @staticmethod
    def forward(ctx: Any, eps: float, *tensors: Tensor) -> Tensor:
        x, gate, weight = tensors
        ctx.save_for_backward(x, gate, weight)
        ctx.eps = eps
        dtype = compute_dtype(x, gate, weight)
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        for rows in row_blocks(x):
            # The rounding to x.dtype in the middle is part of the definition in bfloat16.
            normed = weight * unit_rows(x[rows], eps, dtype)[0].to(x.dtype)
            y[rows] = normed * F.silu(gate[rows].to(dtype))
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@first_derivative_only
def _gradients(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
    x, gate, weight = ctx.saved_tensors
    dtype = compute_dtype(x, gate, weight)
    grad_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    grad_gate = torch.empty_like(gate, memory_format=torch.contiguous_format)
    grad_weight = torch.zeros_like(weight, dtype=dtype)
    wide_weight = weight.to(dtype)
    for rows in row_blocks(x):
        unit, factor = unit_rows(x[rows], ctx.eps, dtype)
        wide_gate = gate[rows].to(dtype)
        grad = grad_y[rows].to(dtype)
        grad_gate[rows] = torch.ops.aten.silu_backward(grad * unit * wide_weight, wide_gate)
        grad = grad * F.silu(wide_gate)
        grad_weight += (grad * unit).sum(dim=0)
        grad *= wide_weight
        # The factor depends on x: what is along x is taken out of the gradient.
        grad -= unit * (grad * unit).mean(dim=-1, keepdim=True)
        grad_x[rows] = grad * factor
    return None, grad_x, grad_gate, grad_weight.to(weight.dtype)
