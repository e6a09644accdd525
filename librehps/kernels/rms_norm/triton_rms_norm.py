"""Zero-centred RMS norm in triton: a row stays in registers, so x is read once in each direction.

The same kernels add a residual first, where there is one, for `librehps.kernels.add_rms_norm`.

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
    launch,
    load_tile,
    partial_sums,
    reduction_tile,
    store_tile,
    triton_dtype,
)
from librehps.typing import Float, Tensor

__all__ = ["norm_gradients", "norm_rows", "rms_norm_triton", "unit_tile", "unit_tile_gradient"]


def rms_norm_triton(
    x: Float[Tensor, "... D"], weight: Float[Tensor, " D"], *, eps: float
) -> Float[Tensor, "... D"]:
    """Compute `librehps.kernels.rms_norm`; ``D`` is at most `librehps.kernels.rows.MAX_ROW`."""
    return _RMSNorm.apply(eps, as_rows(x), weight.contiguous()).view(x.shape)


def norm_rows(
    x: Float[Tensor, "R D"],
    residual: Float[Tensor, "R D"] | None,
    weight: Float[Tensor, " D"],
    *,
    eps: float,
) -> tuple[Float[Tensor, "R D"], Float[Tensor, "R D"]]:
    """Normalise rows, or their sums with those of a residual.

    Args:
        x: Rows, each contiguous.
        residual: Added to them; ``None`` for nothing.
        weight: Offset from one of the scale, contiguous.
        eps: Added to the mean of squares.

    Returns:
        The normalised rows, and what was normalised: a new tensor with a residual, else ``x``.
    """
    rows, width = x.shape
    total = None
    dtype = x.dtype
    if residual is not None:
        dtype = torch.promote_types(x.dtype, residual.dtype)
        total = torch.empty(x.shape, dtype=dtype, device=x.device)
    y = torch.empty(x.shape, dtype=dtype, device=x.device)
    tile = reduction_tile(width)
    launch(
        _rms_norm_fwd_kernel,
        (tile.blocks(rows),),
        *(x, residual, weight, y, total, rows, width, x.stride(0)),
        0 if residual is None else residual.stride(0),
        EPS=eps,
        WIDE=triton_dtype(compute_dtype(y, weight)),
        **tile.options,
    )
    return y, x if total is None else total


def norm_gradients(
    x: Float[Tensor, "R D"],
    weight: Float[Tensor, " D"],
    grad_y: Float[Tensor, "R D"],
    grad_total: Float[Tensor, "R D"] | None,
    *,
    eps: float,
) -> tuple[Float[Tensor, "R D"], Float[Tensor, " D"]]:
    """Return the gradients of `norm_rows`.

    Args:
        x: What was normalised.
        weight: As there.
        grad_y: Gradient of the normalised rows, each contiguous.
        grad_total: Gradient of what was normalised, where it was used besides.
        eps: As there.

    Returns:
        The gradient of what was normalised, which is that of both terms, and that of the weight.
    """
    rows, width = x.shape
    dtype = compute_dtype(x, weight)
    tile = reduction_tile(width)
    programs = partial_sums(tile.blocks(rows))
    grad_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    partial = torch.empty(programs, width, dtype=dtype, device=x.device)
    launch(
        _rms_norm_bwd_kernel,
        (programs,),
        *(x, weight, grad_y, grad_total, grad_x, partial, rows, width),
        *(x.stride(0), grad_y.stride(0), 0 if grad_total is None else grad_total.stride(0)),
        EPS=eps,
        WIDE=triton_dtype(dtype),
        **tile.options,
    )
    return grad_x, partial.sum(dim=0).to(weight.dtype)


@triton.jit
@no_type_check
def unit_tile(x, inside, width, EPS: tl.constexpr):
    """Divide rows by their root mean square.

    Args:
        x: [ROWS, COLUMNS] in the dtype of the computation, zero outside.
        inside: [ROWS, 1], which rows exist.
        width: Columns that exist.
        EPS: Added to the mean of squares.

    Returns:
        The rows, and the factors [ROWS, 1].
    """
    mean = tl.sum(x * x, axis=1, keep_dims=True) / width
    # A row that does not exist would be 0 / 0 without eps, and would spoil the sums over rows.
    factor = 1.0 / tl.sqrt(tl.where(inside, mean, 1.0) + EPS)
    return x * factor, factor


@triton.jit
@no_type_check
def unit_tile_gradient(grad, unit, factor, width):
    """Take the gradient of `unit_tile` [ROWS, COLUMNS] back to its rows.

    The factor depends on the row: what lies along it is taken out of the gradient.
    """
    along = tl.sum(grad * unit, axis=1, keep_dims=True) / width
    return (grad - unit * along) * factor


@triton.jit
@no_type_check
def _rms_norm_fwd_kernel(
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
    """Normalise ROWS rows: ``p_x`` [rows, width] with ``stride_x``, ``p_y`` [rows, width].

    ``p_residual``, with ``stride_residual``, and ``p_total`` [rows, width] are None, or what is
    added first and where the sum goes.
    """
    i_row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    i_column = tl.arange(0, COLUMNS)[None, :]
    m_row, m_column = i_row < rows, i_column < width
    mask = m_row & m_column
    b_x = load_tile(p_x, i_row, i_column, stride_x, mask, WIDE)
    if p_residual is not None:
        b_x += load_tile(p_residual, i_row, i_column, stride_residual, mask, WIDE)
        # What is normalised is what the next layer adds to: the sum after it was rounded.
        b_total = b_x.to(p_total.dtype.element_ty)
        tl.store(p_total + i_row * width + i_column, b_total, mask=mask)
        b_x = b_total.to(WIDE)
    b_weight = tl.load(p_weight + i_column, mask=m_column, other=0.0).to(WIDE)
    b_unit, _ = unit_tile(b_x, m_row, width, EPS)
    store_tile(p_y, i_row, i_column, width, b_unit * (1.0 + b_weight), mask)


@triton.jit
@no_type_check
def _rms_norm_bwd_kernel(
    p_x,
    p_weight,
    p_grad_y,
    p_grad_total,
    p_grad_x,
    p_grad_weight,
    rows,
    width,
    stride_x,
    stride_grad_y,
    stride_grad_total,
    EPS: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Take every n-th tile of n programs: ``p_grad_x`` [rows, width], one partial sum each.

    ``p_grad_total`` is None, or the gradient of what was normalised where it was used besides.
    ``p_grad_weight`` is [programs, width] in the dtype of the computation.
    """
    i_column = tl.arange(0, COLUMNS)[None, :]
    m_column = i_column < width
    b_scale = 1.0 + tl.load(p_weight + i_column, mask=m_column, other=0.0).to(WIDE)
    b_sums = tl.zeros((ROWS, COLUMNS), dtype=WIDE)
    for block in range(tl.program_id(0), tl.cdiv(rows, ROWS), tl.num_programs(0)):
        i_row = (block * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
        m_row = i_row < rows
        mask = m_row & m_column
        b_x = load_tile(p_x, i_row, i_column, stride_x, mask, WIDE)
        b_grad = load_tile(p_grad_y, i_row, i_column, stride_grad_y, mask, WIDE)
        b_unit, b_factor = unit_tile(b_x, m_row, width, EPS)
        b_grad_x = unit_tile_gradient(b_grad * b_scale, b_unit, b_factor, width)
        # After the gradient of x: before it, 1024 columns in float32 spill 8 bytes on sm_100.
        b_sums += b_grad * b_unit
        if p_grad_total is not None:
            b_grad_x += load_tile(p_grad_total, i_row, i_column, stride_grad_total, mask, WIDE)
        store_tile(p_grad_x, i_row, i_column, width, b_grad_x, mask)
    p_own = p_grad_weight + tl.program_id(0) * width + i_column
    tl.store(p_own, tl.sum(b_sums, axis=0, keep_dims=True), mask=m_column)


class _RMSNorm(torch.autograd.Function):
    """Forward and gradient for [rows, D]."""

    @staticmethod
    def forward(ctx: Any, eps: float, *tensors: Tensor) -> Tensor:
        x, weight = tensors
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        return norm_rows(x, None, weight, eps=eps)[0]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@first_derivative_only
def _gradients(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    return None, *norm_gradients(x, weight, as_rows(grad_y), None, eps=ctx.eps)
