"""The gated activation in torch, in blocks of rows that stay in the cache.

Measured on one core (EPYC, AVX-512) for 2048 rows of 9216: 61 ms in float32 and 18 ms in bfloat16,
against 100 and 35 ms over the whole array. For the gradient only the two inputs are kept.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.rows import row_blocks
from librehps.typing import Float, Tensor

__all__ = ["swiglu_torch"]


def swiglu_torch(
    gate: Float[Tensor, "... F"], up: Float[Tensor, "... F"]
) -> Float[Tensor, "... F"]:
    """Compute `librehps.kernels.swiglu`; silu is rounded to the inputs' dtype."""
    width = gate.shape[-1]
    return _SwiGLU.apply(gate.reshape(-1, width), up.reshape(-1, width)).view(gate.shape)


class _SwiGLU(torch.autograd.Function):
    """Forward and gradient of ``silu(gate) * up`` for [rows, F]."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        product = torch.empty_like(gate, memory_format=torch.contiguous_format)
        for rows in row_blocks(gate):
            torch.mul(F.silu(gate[rows]), up[rows], out=product[rows])
        return product

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@first_derivative_only
def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    gate, up = ctx.saved_tensors
    grad_gate = torch.empty_like(gate, memory_format=torch.contiguous_format)
    grad_up = torch.empty_like(up, memory_format=torch.contiguous_format)
    for rows in row_blocks(gate):
        torch.mul(grad[rows], F.silu(gate[rows]), out=grad_up[rows])
        grad_gate[rows] = torch.ops.aten.silu_backward(grad[rows] * up[rows], gate[rows])
    return grad_gate, grad_up
