"""Gradients of each token's log decay, and of the gate, in triton.

A program has one chunk of one head, and forms again what was read. Names follow README.md.
"""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl

from librehps.kernels.selective_scan.triton_chunks import (
    chunk_and_head,
    load_chunk,
    load_decays,
    load_span,
    pair_decays,
    product,
    read_and_pair,
)
from librehps.kernels.triton_rows import silu_and_slope

__all__ = ["decays_bwd_kernel"]


@triton.jit
@no_type_check
def decay_gradient(b_pairs, b_read, b_write, whole, BT: tl.constexpr):
    """Return the gradient of each token's own log decay [BT], without a subtraction.

    Args:
        b_pairs: Gradient times decay of the pairs (i, j), [BT, BT].
        b_read: The same of the decay from before the chunk to each token, [BT].
        b_write: The same of that from each token to the end, [BT].
        whole: The same of that over the chunk.
        BT: Places of the chunk.
    """
    i_row, i_column = tl.arange(0, BT)[:, None], tl.arange(0, BT)[None, :]
    # Token t is in the pairs with j < t <= i: summed over i, then over j.
    b_ended = tl.cumsum(b_pairs, axis=0, reverse=True)
    b_sum = tl.where(i_column < i_row, b_ended + b_write[None, :], b_read[None, :])
    return tl.sum(b_sum, axis=1) + whole


@triton.jit
@no_type_check
def _decays_bwd_kernel(
    p_x,
    p_z,
    p_B,
    p_C,
    p_D,
    p_step,
    p_decay,
    p_slots,
    p_states,
    p_grad_y,
    p_grad_write,
    p_grad_whole,
    p_grad_z,
    p_grad_decay,
    heads,
    per_group,
    stride_x_token,
    stride_x_head,
    stride_z_token,
    stride_z_head,
    stride_B_token,
    stride_B_group,
    stride_C_token,
    stride_C_group,
    WIDTH: tl.constexpr,
    DEPTH: tl.constexpr,
    BLOCKS: tl.constexpr,
    PRECISION: tl.constexpr,
    BT: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
):
    """Give ``p_grad_decay`` [T, heads] and ``p_grad_z`` [T, heads, DEPTH].

    ``p_grad_write`` [T, heads] and ``p_grad_whole`` [M, heads, BLOCKS], to be summed over blocks,
    are the gradients, each times its decay, of the decays to the end of the chunk and over it;
    ``p_states`` [M, heads, WIDTH, DEPTH] is the state before each chunk. ``p_x``, ``p_z``
    [T, heads, DEPTH] and ``p_B``, ``p_C`` [T, groups, WIDTH] have strides, ``p_grad_y`` has none.
    A program for each chunk and head.
    """
    i_slot, i_head = chunk_and_head(heads)
    start, count = load_span(p_slots, i_slot)
    i_t, i_v = tl.arange(0, BT), tl.arange(0, BV)[None, :]
    p_B += start * stride_B_token + (i_head // per_group) * stride_B_group
    p_C += start * stride_C_token + (i_head // per_group) * stride_C_group
    p_states += (i_slot * heads + i_head) * WIDTH * DEPTH
    b_asked, b_pairs = read_and_pair(
        p_C,
        p_B,
        p_states,
        count,
        stride_C_token,
        stride_B_token,
        WIDTH,
        DEPTH,
        PRECISION,
        BT,
        BK,
        BV,
    )
    i_token = start * heads + i_head
    b_high, b_low, b_read, _, _ = load_decays(p_decay + 2 * i_token, count, heads, BT)
    b_asked *= b_read[:, None]
    b_pairs *= pair_decays(b_high, b_low, count, BT)
    p_own = p_x + start * stride_x_token + i_head * stride_x_head
    b_x = load_chunk(p_own, count, stride_x_token, DEPTH, BT, BV).to(tl.float32)
    b_step = tl.load(p_step + i_token + i_t * heads, mask=i_t < count, other=0.0)
    b_X = b_x * b_step[:, None]
    i_out = i_token * DEPTH + i_t[:, None] * heads * DEPTH + i_v
    m_out = (i_t[:, None] < count) & (i_v < DEPTH)
    b_grad = tl.load(p_grad_y + i_out, mask=m_out, other=0.0).to(tl.float32)
    if p_z is not None:
        b_y = b_asked + product(b_pairs, b_X, PRECISION)
        if p_D is not None:
            b_y += tl.load(p_D + i_head).to(tl.float32) * b_x
        p_own = p_z + start * stride_z_token + i_head * stride_z_head
        b_z = load_chunk(p_own, count, stride_z_token, DEPTH, BT, BV).to(tl.float32)
        b_silu, b_slope = silu_and_slope(b_z)
        b_y *= b_grad * b_slope
        tl.store(p_grad_z + i_out, b_y.to(p_grad_z.dtype.element_ty), mask=m_out)
        b_grad *= b_silu
    b_pairs *= product(b_grad, tl.trans(b_X), PRECISION)
    b_reads = tl.sum(b_grad * b_asked, axis=1)
    b_writes = tl.load(p_grad_write + i_token + i_t * heads, mask=i_t < count, other=0.0)
    whole = 0.0
    for block in tl.static_range(BLOCKS):
        p_own = p_grad_whole + (i_slot * heads + i_head) * BLOCKS + block
        whole += tl.load(p_own, mask=count > 0, other=0.0)
    b_decay = decay_gradient(b_pairs, b_reads, b_writes, whole, BT)
    tl.store(p_grad_decay + i_token + i_t * heads, b_decay, mask=i_t < count)


# Kernels are private by their names, which are what a profile shows.
decays_bwd_kernel = _decays_bwd_kernel
