"""Chunks of packed sequences in triton: where they are, and what every kernel reads of them.

Names follow README.md in this folder.
"""

from __future__ import annotations

from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from librehps.kernels.gated_delta_rule.spans import cut
from librehps.kernels.triton_rows import silu_and_slope
from librehps.typing import Int

__all__ = [
    "chunk_and_head",
    "chunk_slots",
    "load_chunk",
    "load_decays",
    "load_gradient",
    "load_span",
    "pair_decays",
    "pair_decays_transposed",
    "product",
    "read_and_pair",
]


def chunk_slots(
    cu_seqlens: Int[Tensor, " N_plus_1"], chunk_size: int, *, tokens: int
) -> Int[Tensor, "M 2"]:
    """Return the first token of each chunk and the token after its last.

    A sequence has its chunks from slot ``start // chunk_size`` and its own number on; a slot that
    is left over has no tokens. See `librehps.kernels.gated_delta_rule.spans`.

    Args:
        cu_seqlens: Where sequences begin and end.
        chunk_size: Most tokens of a chunk.
        tokens: ``cu_seqlens[-1]``, as a number.
    """
    spans = cut(cu_seqlens, chunk_size, tokens=tokens)
    return torch.stack([spans.starts, spans.ends], dim=1)


@triton.jit
@no_type_check
def chunk_and_head(heads):
    """Return which chunk and which head a program has, both int64; the heads of a chunk first.

    All along one axis, since others end at 65535 programs, and in 64 bits, since heads may be far
    apart in memory.
    """
    return (tl.program_id(0) // heads).to(tl.int64), (tl.program_id(0) % heads).to(tl.int64)


@triton.jit
@no_type_check
def load_span(p_slots, i_slot):
    """Return the first token of a chunk, int64, and the number of its tokens, int32."""
    start = tl.load(p_slots + 2 * i_slot).to(tl.int64)
    return start, (tl.load(p_slots + 2 * i_slot + 1) - start).to(tl.int32)


@triton.jit
@no_type_check
def load_chunk(p, count, stride, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Load [count, width] as [ROWS, COLUMNS] in the dtype of the memory, zeros around it."""
    i_row = tl.arange(0, ROWS)[:, None]
    i_column = tl.arange(0, COLUMNS)[None, :]
    return tl.load(
        p + i_row * stride + i_column, mask=(i_row < count) & (i_column < width), other=0.0
    )


@triton.jit
@no_type_check
def load_gradient(
    p_grad_y, p_z, count, stride, stride_z, depth, BT: tl.constexpr, BV: tl.constexpr
):
    """Return the gradient of what is read before the gate, [BT, BV] in float32."""
    b_grad = load_chunk(p_grad_y, count, stride, depth, BT, BV).to(tl.float32)
    if p_z is not None:
        b_silu, _ = silu_and_slope(load_chunk(p_z, count, stride_z, depth, BT, BV).to(tl.float32))
        b_grad *= b_silu
    return b_grad


@triton.jit
@no_type_check
def load_decays(p_decay, count, heads, BT: tl.constexpr):
    """Return the decays around the tokens of a chunk.

    Args:
        p_decay: Cumulative log decay of the first token, in two parts: [T, heads, 2].
        count: Tokens of the chunk.
        heads: All of them.
        BT: Places of the chunk.

    Returns:
        ``(high, low, read, write, whole)``: the two parts; the decay from before the chunk to each
        token; that from each token to the end; that over the chunk. Places without a token have 0.
    """
    i_token = tl.arange(0, BT)
    m_token = i_token < count
    p = p_decay + i_token * heads * 2
    b_high = tl.load(p, mask=m_token, other=0.0)
    b_low = tl.load(p + 1, mask=m_token, other=0.0)
    p_last = p_decay + (count - 1) * heads * 2
    last_high = tl.load(p_last, mask=count > 0, other=0.0)
    last_low = tl.load(p_last + 1, mask=count > 0, other=0.0)
    b_read = tl.where(m_token, tl.exp(b_high + b_low), 0.0)
    b_write = tl.minimum((last_high - b_high) + (last_low - b_low), 0.0)
    b_write = tl.where(m_token, tl.exp(b_write), 0.0)
    return b_high, b_low, b_read, b_write, tl.exp(last_high + last_low)


@triton.jit
@no_type_check
def pair_decays(b_high, b_low, count, BT: tl.constexpr):
    """Return the decay from token j to token i as [i, j], 0 for j > i and where no token is."""
    i_row, i_column = tl.arange(0, BT)[:, None], tl.arange(0, BT)[None, :]
    b = (b_high[:, None] - b_high[None, :]) + (b_low[:, None] - b_low[None, :])
    # Above the diagonal the exponential could overflow.
    return tl.where((i_column <= i_row) & (i_row < count), tl.exp(tl.minimum(b, 0.0)), 0.0)


@triton.jit
@no_type_check
def pair_decays_transposed(b_high, b_low, count, BT: tl.constexpr):
    """Return the decay from token j to token i as [j, i]: see `pair_decays`.

    Formed anew: a transposed product as an operand of a product is where compilers have erred.
    """
    i_row, i_column = tl.arange(0, BT)[:, None], tl.arange(0, BT)[None, :]
    b = (b_high[None, :] - b_high[:, None]) + (b_low[None, :] - b_low[:, None])
    return tl.where((i_row <= i_column) & (i_column < count), tl.exp(tl.minimum(b, 0.0)), 0.0)


@triton.jit
@no_type_check
def product(a, b, PRECISION: tl.constexpr):
    """Multiply matrices; in float32 operands of which one is narrower."""
    if a.dtype != b.dtype:
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
@no_type_check
def read_and_pair(
    p_reader,
    p_other,
    p_state,
    count,
    stride_reader,
    stride_other,
    WIDTH: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
    BT: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
):
    """Return what addresses read from a state, and their products with others, in float32.

    Args:
        p_reader: Addresses of the chunk's tokens, [count, WIDTH] with a stride.
        p_other: The others, the same.
        p_state: The state, [WIDTH, DEPTH].
        count: Tokens of the chunk.
        stride_reader: From token to token.
        stride_other: The same of the others.
        WIDTH: Rows of the state.
        DEPTH: Columns of the state.
        PRECISION: Of products of float32.
        BT: Places of the chunk.
        BK: Rows of the state at a time, to leave registers for the rest.
        BV: Places for its columns.

    Returns:
        ``(read, pairs)``: [BT, BV], and [BT, BT] with the readers as rows.
    """
    i_v = tl.arange(0, BV)[None, :]
    b_read = tl.zeros((BT, BV), dtype=tl.float32)
    b_pairs = tl.zeros((BT, BT), dtype=tl.float32)
    # A slot without tokens has no states either. Not a third mask: of a scalar, which is what it
    # would be, triton 3.9's interpreter makes integers.
    depth = tl.where(count > 0, DEPTH, 0)
    for k in range(0, WIDTH, BK):
        b_reader = load_chunk(p_reader + k, count, stride_reader, WIDTH - k, BT, BK)
        b_other = load_chunk(p_other + k, count, stride_other, WIDTH - k, BT, BK)
        i_k = k + tl.arange(0, BK)[:, None]
        m_state = (i_k < WIDTH) & (i_v < depth)
        b_state = tl.load(p_state + i_k * DEPTH + i_v, mask=m_state, other=0.0)
        b_read += product(b_reader, b_state, PRECISION)
        b_pairs += product(b_reader, tl.trans(b_other), PRECISION)
    return b_read, b_pairs
