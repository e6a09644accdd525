"""The residual addition and the norm of the sum in triton: the kernels of the norm add first.

Not run on a GPU yet: checked in triton's interpreter, and compiled ahead of time (see README.md).
"""

from __future__ import annotations

from typing import Any

import torch

from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.rms_norm.triton_rms_norm import norm_gradients, norm_rows
from librehps.kernels.triton_rows import as_rows
from librehps.typing import Float, Tensor

__all__ = ["add_rms_norm_triton"]


def add_rms_norm_triton(
    x: Float[Tensor, "... D"],
    residual: Float[Tensor, "... D"],
    weight: Float[Tensor, " D"],
    *,
    eps: float,
) -> tuple[Float[Tensor, "... D"], Float[Tensor, "... D"]]:
    """Compute `librehps.kernels.add_rms_norm`; ``D`` is at most `librehps.kernels.rows.MAX_ROW`."""
    y, total = _AddRMSNorm.apply(eps, as_rows(x), as_rows(residual), weight.contiguous())
    return y.view(x.shape), total.view(x.shape)


class _AddRMSNorm(torch.autograd.Function):
    """Forward and gradient for [rows, D]."""

    @staticmethod
    def forward(ctx: Any, eps: float, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        x, residual, weight = tensors
        y, total = norm_rows(x, residual, weight, eps=eps)
        ctx.dtypes = x.dtype, residual.dtype
        ctx.save_for_backward(total, weight)
        ctx.eps = eps
        return y, total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@first_derivative_only
def _gradients(ctx: Any, grad_y: Tensor, grad_total: Tensor) -> tuple[Tensor | None, ...]:
    total, weight = ctx.saved_tensors
    grad, grad_weight = norm_gradients(
        total, weight, as_rows(grad_y), as_rows(grad_total), eps=ctx.eps
    )
    return None, *(grad.to(dtype) for dtype in ctx.dtypes), grad_weight
