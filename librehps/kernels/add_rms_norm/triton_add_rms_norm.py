"""Residual addition with the norm of the sum in triton: the sum is normalised while it is at hand.

Not run on a GPU yet: checked in triton's interpreter, and compiled ahead of time (see README.md).
"""

from __future__ import annotations

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from librehps.kernels.arguments import compute_dtype
from librehps.kernels.rms_norm.triton_rms_norm import unit_tile, unit_tile_gradient
from librehps.kernels.triton_rows import (
    as_rows,
    launch,
    load_tile,
    partial_sums,
    reduction_tile,
    store_tile,
    triton_dtype,
)
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


@triton.jit
@no_type_check
def _add_rms_norm_fwd_kernel(
    p_x,
    p_residual,
    p_weight,
    p_y,
    p_total,
    rows,
    width,
    stride_x,
    stride_residual,
    EPS: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Add and normalise ROWS rows; ``p_y`` and ``p_total`` are [rows, width]."""
    i_row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    i_column = tl.arange(0, COLUMNS)[None, :]
    m_row, m_column = i_row < rows, i_column < width
    mask = m_row & m_column
    b_x = load_tile(p_x, i_row, i_column, stride_x, mask, WIDE)
    b_residual = load_tile(p_residual, i_row, i_column, stride_residual, mask, WIDE)
    # What is normalised is what the next layer adds to: the sum after it was rounded.
    b_total = (b_x + b_residual).to(p_total.dtype.element_ty)
    tl.store(p_total + i_row * width + i_column, b_total, mask=mask)
    b_weight = tl.load(p_weight + i_column, mask=m_column, other=0.0).to(WIDE)
    b_unit, _ = unit_tile(b_total.to(WIDE), m_row, width, EPS)
    store_tile(p_y, i_row, i_column, width, b_unit * (1.0 + b_weight), mask)


@triton.jit
@no_type_check
def _add_rms_norm_bwd_kernel(
    p_total,
    p_weight,
    p_grad_y,
    p_grad_total,
    p_grad_x,
    p_grad_weight,
    rows,
    width,
    stride_grad_y,
    stride_grad_total,
    EPS: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Take every n-th tile of n programs: ``p_grad_x`` [rows, width], one partial sum each.

    ``p_grad_x`` is the gradient of both terms of the sum. ``p_grad_weight`` is [programs, width] in
    the dtype of the computation.
    """
    i_column = tl.arange(0, COLUMNS)[None, :]
    m_column = i_column < width
    b_scale = 1.0 + tl.load(p_weight + i_column, mask=m_column, other=0.0).to(WIDE)
    b_sums = tl.zeros((ROWS, COLUMNS), dtype=WIDE)
    for block in range(tl.program_id(0), tl.cdiv(rows, ROWS), tl.num_programs(0)):
        i_row = (block * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
        m_row = i_row < rows
        mask = m_row & m_column
        b_total = load_tile(p_total, i_row, i_column, width, mask, WIDE)
        b_grad = load_tile(p_grad_y, i_row, i_column, stride_grad_y, mask, WIDE)
        b_unit, b_factor = unit_tile(b_total, m_row, width, EPS)
        b_grad_x = unit_tile_gradient(b_grad * b_scale, b_unit, b_factor, width)
        b_sums += b_grad * b_unit
        b_grad_x += load_tile(p_grad_total, i_row, i_column, stride_grad_total, mask, WIDE)
        store_tile(p_grad_x, i_row, i_column, width, b_grad_x, mask)
    p_own = p_grad_weight + tl.program_id(0) * width + i_column
    tl.store(p_own, tl.sum(b_sums, axis=0, keep_dims=True), mask=m_column)


class _AddRMSNorm(torch.autograd.Function):
    """Forward and gradient for [rows, D]."""

    @staticmethod
    def forward(ctx: Any, eps: float, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        x, residual, weight = tensors
        rows, width = x.shape
        wide = torch.promote_types(x.dtype, residual.dtype)
        y, total = (torch.empty(x.shape, dtype=wide, device=x.device) for _ in range(2))
        tile = reduction_tile(width)
        launch(
            _add_rms_norm_fwd_kernel,
            (tile.blocks(rows),),
            *(x, residual, weight, y, total, rows, width, x.stride(0), residual.stride(0)),
            EPS=eps,
            WIDE=triton_dtype(compute_dtype(total, weight)),
            **tile.options,
        )
        ctx.dtypes = x.dtype, residual.dtype
        ctx.save_for_backward(total, weight)
        ctx.eps = eps
        return y, total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@once_differentiable
def _gradients(ctx: Any, grad_y: Tensor, grad_total: Tensor) -> tuple[Tensor | None, ...]:
    total, weight = ctx.saved_tensors
    grad_y, grad_total = as_rows(grad_y), as_rows(grad_total)
    rows, width = total.shape
    dtype = compute_dtype(total, weight)
    tile = reduction_tile(width)
    programs = partial_sums(tile.blocks(rows))
    grad_x = torch.empty_like(total)
    partial = torch.empty(programs, width, dtype=dtype, device=total.device)
    launch(
        _add_rms_norm_bwd_kernel,
        (programs,),
        *(total, weight, grad_y, grad_total, grad_x, partial, rows, width),
        *(grad_y.stride(0), grad_total.stride(0)),
        EPS=ctx.eps,
        WIDE=triton_dtype(dtype),
        **tile.options,
    )
    terms = (grad_x.to(dtype) for dtype in ctx.dtypes)
    return None, *terms, partial.sum(dim=0).to(weight.dtype)
