"""The gated activation in triton: each input is read once, in each direction.

Not run on a GPU yet: checked in triton's interpreter, and compiled ahead of time (see README.md).
"""

from __future__ import annotations

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl

from librehps.kernels.arguments import compute_dtype
from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.triton_rows import (
    as_rows,
    elementwise_tile,
    launch,
    load_tile,
    silu_and_slope,
    store_tile,
    triton_dtype,
)
from librehps.typing import Float, Tensor

__all__ = ["swiglu_triton"]


def swiglu_triton(
    gate: Float[Tensor, "... F"], up: Float[Tensor, "... F"]
) -> Float[Tensor, "... F"]:
    """Compute `librehps.kernels.swiglu`; silu is rounded to the inputs' dtype.

    Gradients are computed without that rounding.
    """
    return _SwiGLU.apply(as_rows(gate), as_rows(up)).view(gate.shape)


@triton.jit
@no_type_check
def _swiglu_fwd_kernel(
    p_gate,
    p_up,
    p_y,
    rows,
    width,
    stride_gate,
    stride_up,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Compute one tile of ``p_y`` [rows, width]; inputs have strides."""
    i_row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    i_column = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    mask = (i_row < rows) & (i_column < width)
    b_gate = load_tile(p_gate, i_row, i_column, stride_gate, mask, WIDE)
    b_up = load_tile(p_up, i_row, i_column, stride_up, mask, WIDE)
    b_silu, _ = silu_and_slope(b_gate)
    b_silu = b_silu.to(p_gate.dtype.element_ty).to(WIDE)
    store_tile(p_y, i_row, i_column, width, b_silu * b_up, mask)


@triton.jit
@no_type_check
def _swiglu_bwd_kernel(
    p_gate,
    p_up,
    p_grad_y,
    p_grad_gate,
    p_grad_up,
    rows,
    width,
    stride_gate,
    stride_up,
    stride_grad_y,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Compute one tile of ``p_grad_gate`` and ``p_grad_up`` [rows, width]; inputs have strides."""
    i_row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    i_column = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    mask = (i_row < rows) & (i_column < width)
    b_gate = load_tile(p_gate, i_row, i_column, stride_gate, mask, WIDE)
    b_up = load_tile(p_up, i_row, i_column, stride_up, mask, WIDE)
    b_grad = load_tile(p_grad_y, i_row, i_column, stride_grad_y, mask, WIDE)
    b_silu, b_slope = silu_and_slope(b_gate)
    store_tile(p_grad_gate, i_row, i_column, width, b_grad * b_up * b_slope, mask)
    store_tile(p_grad_up, i_row, i_column, width, b_grad * b_silu, mask)


class _SwiGLU(torch.autograd.Function):
    """Forward and gradient of ``silu(gate) * up`` for [rows, F]."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        rows, width = gate.shape
        y = torch.empty_like(gate, memory_format=torch.contiguous_format)
        tile = elementwise_tile(width)
        launch(
            _swiglu_fwd_kernel,
            (tile.blocks(rows), triton.cdiv(width, tile.columns)),
            *(gate, up, y, rows, width, gate.stride(0), up.stride(0)),
            WIDE=triton_dtype(compute_dtype(gate, up)),
            **tile.options,
        )
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@first_derivative_only
def _gradients(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
    gate, up = ctx.saved_tensors
    grad_y = as_rows(grad_y)
    rows, width = gate.shape
    grad_gate = torch.empty_like(gate, memory_format=torch.contiguous_format)
    grad_up = torch.empty_like(up, memory_format=torch.contiguous_format)
    tile = elementwise_tile(width)
    launch(
        _swiglu_bwd_kernel,
        (tile.blocks(rows), triton.cdiv(width, tile.columns)),
        *(gate, up, grad_y, grad_gate, grad_up, rows, width),
        *(gate.stride(0), up.stride(0), grad_y.stride(0)),
        WIDE=triton_dtype(compute_dtype(gate, up)),
        **tile.options,
    )
    return grad_gate, grad_up
