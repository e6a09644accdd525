"""Causal depthwise convolution in triton: one kernel in each direction, whatever is packed.

A *line* is a sequence with the ``W - 1`` columns before it, and lines lie behind one another. Both
kernels go over the rows of lines, so that what is before a sequence and what comes out at its end
need no kernel of their own.

Not run on a GPU yet: checked in triton's interpreter, and compiled ahead of time (see README.md).
"""

from __future__ import annotations

from typing import Any, TypeAlias, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from librehps.kernels.arguments import compute_dtype
from librehps.kernels.causal_conv1d.triton_lines import (
    conv_tile,
    line_of_row,
    load_line,
    row_in_line,
)
from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.triton_rows import (
    as_rows,
    launch,
    load_tile,
    silu_and_slope,
    store_tile,
    triton_dtype,
)
from librehps.typing import Float, Int

__all__ = ["causal_conv1d_triton"]

# Programs that share the rows of one block of channels in the backward kernel, each with a partial
# sum of its own. A constant, so that the sums do not depend on the device.
_PARTIALS = 32

# Activation, and what is summed in.
_Options: TypeAlias = tuple[str | None, torch.dtype]


def causal_conv1d_triton(
    x: Float[Tensor, "T C"],
    weight: Float[Tensor, "C W"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    bias: Float[Tensor, " C"] | None = None,
    initial_state: Float[Tensor, "N C W_minus_1"] | None = None,
    activation: str | None = None,
) -> tuple[Float[Tensor, "T C"], Float[Tensor, "N C W_minus_1"]]:
    """Compute `librehps.kernels.causal_conv1d`; the device is not waited for."""
    dtype = compute_dtype(x, weight, *(() if bias is None else (bias,)))
    bias, initial_state, weight = (
        tensor if tensor is None else tensor.contiguous()
        for tensor in (bias, initial_state, weight)
    )
    options = (activation, dtype)
    return _Conv.apply(options, cu_seqlens, bias, initial_state, as_rows(x), weight)


@triton.jit
@no_type_check
def _causal_conv1d_fwd_kernel(
    p_x,
    p_weight,
    p_bias,
    p_state,
    p_bounds,
    p_line,
    p_y,
    p_final,
    rows,
    width,
    stride_x,
    TAPS: tl.constexpr,
    SILU: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Compute what ROWS rows of lines end: outputs, and the last rows of each line.

    ``p_x`` [T, width] with ``stride_x``; ``p_weight`` [width, TAPS]; ``p_bias`` [width] and
    ``p_state`` [N, width, TAPS - 1] or None; ``p_bounds`` [N + 1]; ``p_line`` [rows];
    ``p_y`` [T, width]; ``p_final`` [N, width, TAPS - 1].
    """
    LEAD: tl.constexpr = TAPS - 1
    i_row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    i_column = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    m_row, m_column = i_row < rows, i_column < width
    i_line, i_place, start, length = row_in_line(p_bounds, p_line, i_row, m_row, LEAD)
    p_before = p_state if p_state is None else p_state + (i_line * width + i_column) * LEAD
    p_own = p_x + (start - LEAD) * stride_x
    b_sum = tl.zeros((ROWS, COLUMNS), dtype=WIDE)
    if p_bias is not None:
        b_sum += tl.load(p_bias + i_column, mask=m_column, other=0.0).to(WIDE)
    # The last tap meets the row itself, which may also be one of the last of its line.
    for back in tl.static_range(LEAD, -1, -1):
        mask = m_row & m_column & (i_place - back < length + LEAD)
        b_x = load_line(p_own, p_before, i_place - back, i_column, stride_x, mask, LEAD, WIDE)
        p_tap = p_weight + i_column * TAPS + (LEAD - back)
        b_sum += b_x * tl.load(p_tap, mask=m_column, other=0.0).to(WIDE)
    if SILU:
        b_sum, _ = silu_and_slope(b_sum)
    store_tile(p_y, start + i_place - LEAD, i_column, width, b_sum, mask & (i_place >= LEAD))
    i_last = i_place - length
    p_last = p_final + (i_line * width + i_column) * LEAD + i_last
    tl.store(p_last, b_x.to(p_final.dtype.element_ty), mask=mask & (i_last >= 0))


@triton.jit
@no_type_check
def _causal_conv1d_bwd_kernel(
    p_x,
    p_weight,
    p_bias,
    p_state,
    p_bounds,
    p_line,
    p_grad_y,
    p_grad_final,
    p_grad_x,
    p_grad_state,
    p_grad_weight,
    p_grad_bias,
    rows,
    width,
    stride_x,
    stride_grad_y,
    TAPS: tl.constexpr,
    SILU: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    REACH: tl.constexpr,
):
    """Take one of n runs of tiles: gradients of rows of lines, and partial sums of the run.

    A row is in the outputs that it and the next TAPS - 1 rows end: REACH >= TAPS of them are held
    at a time. What a tile reads of its neighbours is in the cache. ``p_grad_weight`` is
    [n, REACH, width], the last tap first, and ``p_grad_bias`` [n, width] or None, in the dtype of
    the computation. See the forward kernel for the rest.
    """
    LEAD: tl.constexpr = TAPS - 1
    i_ahead = tl.arange(0, REACH)[:, None, None]
    i_column = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, None, :]
    m_ahead, m_column = i_ahead < TAPS, i_column < width
    p_taps = p_weight + i_column * TAPS + LEAD
    b_taps = tl.load(p_taps - i_ahead, mask=m_ahead & m_column, other=0.0).to(WIDE)
    b_grad_taps = tl.zeros((REACH, ROWS, COLUMNS), dtype=WIDE)
    b_grad_bias = tl.zeros((1, ROWS, COLUMNS), dtype=WIDE)
    tiles = tl.cdiv(rows, ROWS)
    run = tl.cdiv(tiles, tl.num_programs(0))
    first = tl.program_id(0) * run
    for block in range(first, tl.minimum(first + run, tiles)):
        i_row = (block * ROWS + tl.arange(0, ROWS)).to(tl.int64)[None, :, None]
        m_row = i_row < rows
        i_line, i_place, start, length = row_in_line(p_bounds, p_line, i_row, m_row, LEAD)
        i_state = (i_line * width + i_column) * LEAD
        p_before = p_state if p_state is None else p_state + i_state
        p_own = p_x + (start - LEAD) * stride_x
        mask = m_row & m_column
        # The output that this row ends, and those after it.
        i_end = i_place + i_ahead
        m_end = mask & m_ahead & (i_end >= LEAD) & (i_end < length + LEAD)
        b_grad = load_tile(p_grad_y, start + i_end - LEAD, i_column, stride_grad_y, m_end, WIDE)
        if SILU:
            b_sum = tl.zeros((REACH, ROWS, COLUMNS), dtype=WIDE)
            if p_bias is not None:
                b_sum += tl.load(p_bias + i_column, mask=m_column, other=0.0).to(WIDE)
            for back in tl.static_range(TAPS):
                b_x = load_line(
                    p_own, p_before, i_end - back, i_column, stride_x, m_end, LEAD, WIDE
                )
                b_sum += b_x * tl.load(p_taps - back, mask=m_column, other=0.0).to(WIDE)
            _, b_slope = silu_and_slope(b_sum)
            # Where nothing ends nothing comes back, not even a NaN.
            b_grad = tl.where(m_end, b_grad * b_slope, 0.0)
        b_x = load_line(p_own, p_before, i_place, i_column, stride_x, mask, LEAD, WIDE)
        # Kept for the whole loop; a row that is not a number has no part in what it does not reach.
        b_grad_taps += tl.where(m_end, b_grad * b_x, 0.0)
        if p_grad_bias is not None:
            b_grad_bias += tl.sum(tl.where(i_ahead == 0, b_grad, 0.0), axis=0, keep_dims=True)
        b_grad_x = tl.sum(b_grad * b_taps, axis=0, keep_dims=True)
        i_last = i_place - length
        if p_grad_final is not None:
            m_last = mask & (i_last >= 0)
            b_grad_x += tl.load(p_grad_final + i_state + i_last, mask=m_last, other=0.0).to(WIDE)
        m_own = mask & (i_place >= LEAD)
        store_tile(p_grad_x, start + i_place - LEAD, i_column, width, b_grad_x, m_own)
        if p_grad_state is not None:
            b_grad_x = b_grad_x.to(p_grad_state.dtype.element_ty)
            tl.store(p_grad_state + i_state + i_place, b_grad_x, mask=mask & (i_place < LEAD))
    i_partial = tl.program_id(0)
    p_own = p_grad_weight + (i_partial * REACH + i_ahead) * width + i_column
    tl.store(p_own, tl.sum(b_grad_taps, axis=1, keep_dims=True), mask=m_column)
    if p_grad_bias is not None:
        p_own = p_grad_bias + i_partial * width + i_column
        tl.store(p_own, tl.sum(b_grad_bias, axis=1, keep_dims=True), mask=m_column)


class _Conv(torch.autograd.Function):
    """Forward and gradient; the sums before the activation are formed again for the gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        options: _Options,
        cu_seqlens: Tensor,
        bias: Tensor | None,
        initial_state: Tensor | None,
        *inputs: Tensor,
    ) -> tuple[Tensor, Tensor]:
        x, weight = inputs
        activation, dtype = options
        taps, (tokens, width) = weight.shape[1], x.shape
        lines = line_of_row(cu_seqlens, tokens, taps - 1)
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        final = x.new_empty(cu_seqlens.numel() - 1, width, taps - 1)
        tile = conv_tile(width)
        launch(
            _causal_conv1d_fwd_kernel,
            (tile.blocks(lines.numel()), triton.cdiv(width, tile.columns)),
            *(x, weight, bias, initial_state, cu_seqlens, lines, y, final),
            *(lines.numel(), width, x.stride(0)),
            TAPS=taps,
            SILU=activation == "silu",
            WIDE=triton_dtype(dtype),
            **tile.options,
        )
        ctx.save_for_backward(x, weight, bias, initial_state, cu_seqlens, lines)
        ctx.options = options
        ctx.set_materialize_grads(False)
        return y, final

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@first_derivative_only
def _gradients(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
    x, weight, bias, initial_state, cu_seqlens, lines = ctx.saved_tensors
    activation, dtype = ctx.options
    grad_y, grad_final = grad_outputs
    grad_y = torch.zeros_like(x) if grad_y is None else as_rows(grad_y)
    taps, width = weight.shape[1], x.shape[1]
    reach = triton.next_power_of_2(taps)
    tile = conv_tile(width, reach)
    programs = min(_PARTIALS, tile.blocks(lines.numel()))
    grad_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    grad_state = None if initial_state is None else torch.empty_like(initial_state)
    partial = torch.empty(programs, reach, width, dtype=dtype, device=x.device)
    partial_bias = None
    if bias is not None:
        partial_bias = torch.empty(programs, width, dtype=dtype, device=x.device)
    launch(
        _causal_conv1d_bwd_kernel,
        (programs, triton.cdiv(width, tile.columns)),
        *(x, weight, bias, initial_state, cu_seqlens, lines, grad_y),
        *(None if grad_final is None else grad_final.contiguous(), grad_x, grad_state),
        *(partial, partial_bias, lines.numel(), width, x.stride(0), grad_y.stride(0)),
        TAPS=taps,
        SILU=activation == "silu",
        WIDE=triton_dtype(dtype),
        REACH=reach,
        **tile.options,
    )
    grad_weight = partial[:, :taps].sum(dim=0).flip(0).T.to(weight.dtype)
    grad_bias = None
    if bias is not None and partial_bias is not None:
        grad_bias = partial_bias.sum(dim=0).to(bias.dtype)
    return None, None, grad_bias, grad_state, grad_x, grad_weight
