"""Gated RMS norm in triton, with the cast order of the published checkpoints.

Not run on a GPU yet: checked in triton's interpreter, and compiled ahead of time (see README.md).
"""

from __future__ import annotations

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from librehps.kernels.arguments import compute_dtype
from librehps.kernels.rms_norm.triton_rms_norm import unit_tile
from librehps.kernels.triton_rows import (
    as_rows,
    partial_sums,
    reduction_tile,
    sigmoid,
    triton_dtype,
)
from librehps.typing import Float, Tensor

__all__ = ["gated_rms_norm_triton"]


def gated_rms_norm_triton(
    x: Float[Tensor, "... V"],
    gate: Float[Tensor, "... V"],
    weight: Float[Tensor, " V"],
    *,
    eps: float,
) -> Float[Tensor, "... V"]:
    """Compute `librehps.kernels.gated_rms_norm`; ``V`` is at most `librehps.kernels.rows.MAX_ROW`.

    Gradients are computed without the roundings of the forward pass.
    """
    rows = _GatedNorm.apply(eps, as_rows(x), as_rows(gate), weight.contiguous())
    return rows.view(x.shape)


@triton.jit
@no_type_check
def _gated_rms_norm_fwd_kernel(
    p_x,
    p_gate,
    p_weight,
    p_y,
    rows,
    width,
    stride_x,
    stride_gate,
    EPS: tl.constexpr,
    WIDE: tl.constexpr,
    NORMED: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Norm, scale and gate ROWS rows: inputs [rows, width] with strides, ``p_y`` without."""
    i_row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    i_column = tl.arange(0, COLUMNS)[None, :]
    m_row, m_column = i_row < rows, i_column < width
    mask = m_row & m_column
    b_x = tl.load(p_x + i_row * stride_x + i_column, mask=mask, other=0.0).to(WIDE)
    b_gate = tl.load(p_gate + i_row * stride_gate + i_column, mask=mask, other=0.0).to(WIDE)
    b_weight = tl.load(p_weight + i_column, mask=m_column, other=0.0).to(WIDE)
    b_unit, _ = unit_tile(b_x, m_row, width, EPS)
    # The two roundings in the middle are part of the definition in bfloat16.
    b_unit = b_unit.to(p_x.dtype.element_ty).to(WIDE)
    b_normed = (b_unit * b_weight).to(NORMED).to(WIDE)
    b_y = b_normed * (b_gate * sigmoid(b_gate))
    tl.store(p_y + i_row * width + i_column, b_y.to(p_y.dtype.element_ty), mask=mask)


@triton.jit
@no_type_check
def _gated_rms_norm_bwd_kernel(
    p_x,
    p_gate,
    p_weight,
    p_grad_y,
    p_grad_x,
    p_grad_gate,
    p_grad_weight,
    rows,
    width,
    stride_x,
    stride_gate,
    stride_grad_y,
    EPS: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Take every n-th tile of n programs: gradients [rows, width], one partial sum each.

    ``p_grad_weight`` is [programs, width] in the dtype of the computation.
    """
    i_column = tl.arange(0, COLUMNS)[None, :]
    m_column = i_column < width
    b_weight = tl.load(p_weight + i_column, mask=m_column, other=0.0).to(WIDE)
    b_sums = tl.zeros((ROWS, COLUMNS), dtype=WIDE)
    for block in range(tl.program_id(0), tl.cdiv(rows, ROWS), tl.num_programs(0)):
        i_row = (block * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
        m_row = i_row < rows
        mask = m_row & m_column
        b_x = tl.load(p_x + i_row * stride_x + i_column, mask=mask, other=0.0).to(WIDE)
        b_gate = tl.load(p_gate + i_row * stride_gate + i_column, mask=mask, other=0.0).to(WIDE)
        b_grad = tl.load(p_grad_y + i_row * stride_grad_y + i_column, mask=mask, other=0.0)
        b_grad = b_grad.to(WIDE)
        b_unit, b_factor = unit_tile(b_x, m_row, width, EPS)
        b_sigmoid = sigmoid(b_gate)
        b_silu = b_gate * b_sigmoid
        # silu' = sigmoid + silu (1 - sigmoid)
        b_grad_gate = b_grad * b_unit * b_weight * (b_sigmoid + b_silu * (1.0 - b_sigmoid))
        p_own = p_grad_gate + i_row * width + i_column
        tl.store(p_own, b_grad_gate.to(p_grad_gate.dtype.element_ty), mask=mask)
        b_grad *= b_silu
        b_sums += b_grad * b_unit
        b_grad *= b_weight
        # The factor depends on x: what is along x is taken out of the gradient.
        along = tl.sum(b_grad * b_unit, axis=1, keep_dims=True) / width
        b_grad = (b_grad - b_unit * along) * b_factor
        p_own = p_grad_x + i_row * width + i_column
        tl.store(p_own, b_grad.to(p_grad_x.dtype.element_ty), mask=mask)
    p_own = p_grad_weight + tl.program_id(0) * width + i_column
    tl.store(p_own, tl.sum(b_sums, axis=0, keep_dims=True), mask=m_column)


class _GatedNorm(torch.autograd.Function):
    """Forward and gradient for [rows, V]."""

    @staticmethod
    def forward(ctx: Any, eps: float, *tensors: Tensor) -> Tensor:
        x, gate, weight = tensors
        ctx.save_for_backward(x, gate, weight)
        ctx.eps = eps
        rows, width = x.shape
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        tile = reduction_tile(width)
        if rows:
            with torch.cuda.device_of(x):
                _gated_rms_norm_fwd_kernel[(tile.blocks(rows),)](
                    x,
                    gate,
                    weight,
                    y,
                    rows,
                    width,
                    x.stride(0),
                    gate.stride(0),
                    EPS=eps,
                    WIDE=triton_dtype(compute_dtype(x, gate, weight)),
                    NORMED=triton_dtype(torch.promote_types(x.dtype, weight.dtype)),
                    ROWS=tile.rows,
                    COLUMNS=tile.columns,
                    num_warps=tile.num_warps,
                )
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@once_differentiable
def _gradients(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
    x, gate, weight = ctx.saved_tensors
    grad_y = as_rows(grad_y)
    rows, width = x.shape
    dtype = compute_dtype(x, gate, weight)
    tile = reduction_tile(width)
    programs = partial_sums(tile.blocks(rows))
    grad_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    grad_gate = torch.empty_like(gate, memory_format=torch.contiguous_format)
    partial = torch.empty(programs, width, dtype=dtype, device=x.device)
    if rows:
        with torch.cuda.device_of(x):
            _gated_rms_norm_bwd_kernel[(programs,)](
                x,
                gate,
                weight,
                grad_y,
                grad_x,
                grad_gate,
                partial,
                rows,
                width,
                x.stride(0),
                gate.stride(0),
                grad_y.stride(0),
                EPS=ctx.eps,
                WIDE=triton_dtype(dtype),
                ROWS=tile.rows,
                COLUMNS=tile.columns,
                num_warps=tile.num_warps,
            )
    return None, grad_x, grad_gate, partial.sum(dim=0).to(weight.dtype)
