"""Gated RMS norm in triton, with the cast order of the published checkpoints.

Not run on a GPU yet: checked in triton's interpreter, and compiled ahead of time (see README.md).
"""

from __future__ import annotations

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl

from librehps.kernels.arguments import compute_dtype
from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.rms_norm.triton_rms_norm import unit_tile, unit_tile_gradient
from librehps.kernels.triton_rows import (
    as_rows,
    launch,
    load_tile,
    partial_sums,
    reduction_tile,
    silu_and_slope,
    store_tile,
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
    b_x = load_tile(p_x, i_row, i_column, stride_x, mask, WIDE)
    b_gate = load_tile(p_gate, i_row, i_column, stride_gate, mask, WIDE)
    b_weight = tl.load(p_weight + i_column, mask=m_column, other=0.0).to(WIDE)
    b_unit, _ = unit_tile(b_x, m_row, width, EPS)
    # The two roundings in the middle are part of the definition in bfloat16.
    b_unit = b_unit.to(p_x.dtype.element_ty).to(WIDE)
    b_normed = (b_unit * b_weight).to(NORMED).to(WIDE)
    b_silu, _ = silu_and_slope(b_gate)
    store_tile(p_y, i_row, i_column, width, b_normed * b_silu, mask)


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
        b_x = load_tile(p_x, i_row, i_column, stride_x, mask, WIDE)
        b_gate = load_tile(p_gate, i_row, i_column, stride_gate, mask, WIDE)
        b_grad = load_tile(p_grad_y, i_row, i_column, stride_grad_y, mask, WIDE)
        b_unit, b_factor = unit_tile(b_x, m_row, width, EPS)
        b_silu, b_slope = silu_and_slope(b_gate)
        b_grad_gate = b_grad * b_unit * b_weight * b_slope
        store_tile(p_grad_gate, i_row, i_column, width, b_grad_gate, mask)
        b_grad *= b_silu
        b_sums += b_grad * b_unit
        b_grad = unit_tile_gradient(b_grad * b_weight, b_unit, b_factor, width)
        store_tile(p_grad_x, i_row, i_column, width, b_grad, mask)
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
        launch(
            _gated_rms_norm_fwd_kernel,
            (tile.blocks(rows),),
            *(x, gate, weight, y, rows, width, x.stride(0), gate.stride(0)),
            EPS=eps,
            WIDE=triton_dtype(compute_dtype(x, gate, weight)),
            NORMED=triton_dtype(torch.promote_types(x.dtype, weight.dtype)),
            **tile.options,
        )
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@first_derivative_only
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
    launch(
        _gated_rms_norm_bwd_kernel,
        (programs,),
        *(x, gate, weight, grad_y, grad_x, grad_gate, partial, rows, width),
        *(x.stride(0), gate.stride(0), grad_y.stride(0)),
        EPS=ctx.eps,
        WIDE=triton_dtype(dtype),
        **tile.options,
    )
    return None, grad_x, grad_gate, partial.sum(dim=0).to(weight.dtype)
