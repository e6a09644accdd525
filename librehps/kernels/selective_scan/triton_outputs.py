"""What is read from memory and chunk, past the bypass and through the gate, in triton.

A program has one chunk of one head. Names follow README.md.
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

__all__ = ["outputs_fwd_kernel"]


@triton.jit
@no_type_check
def _selective_scan_fwd_kernel(
    p_x,
    p_z,
    p_B,
    p_C,
    p_D,
    p_step,
    p_decay,
    p_slots,
    p_states,
    p_y,
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
    PRECISION: tl.constexpr,
    BT: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
):
    """Give ``p_y`` [T, heads, DEPTH].

    ``p_x``, ``p_z`` [T, heads, DEPTH] and ``p_B``, ``p_C`` [T, groups, WIDTH] with strides;
    ``p_D`` [heads]; ``p_step`` [T, heads]; ``p_decay`` [T, heads, 2]; ``p_slots`` [M, 2];
    ``p_states`` [M, heads, WIDTH, DEPTH] before each chunk. A program for each chunk and head.
    """
    i_slot, i_head = chunk_and_head(heads)
    start, count = load_span(p_slots, i_slot)
    i_t, i_v = tl.arange(0, BT), tl.arange(0, BV)[None, :]
    p_B += start * stride_B_token + (i_head // per_group) * stride_B_group
    p_C += start * stride_C_token + (i_head // per_group) * stride_C_group
    p_states += (i_slot * heads + i_head) * WIDTH * DEPTH
    b_y, b_pairs = read_and_pair(
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
    b_y *= b_read[:, None]
    b_pairs *= pair_decays(b_high, b_low, count, BT)
    p_own = p_x + start * stride_x_token + i_head * stride_x_head
    b_x = load_chunk(p_own, count, stride_x_token, DEPTH, BT, BV).to(tl.float32)
    b_step = tl.load(p_step + i_token + i_t * heads, mask=i_t < count, other=0.0)
    b_y += product(b_pairs, b_x * b_step[:, None], PRECISION)
    if p_D is not None:
        b_y += tl.load(p_D + i_head).to(tl.float32) * b_x
    if p_z is not None:
        p_own = p_z + start * stride_z_token + i_head * stride_z_head
        b_z = load_chunk(p_own, count, stride_z_token, DEPTH, BT, BV).to(tl.float32)
        b_silu, _ = silu_and_slope(b_z)
        b_y *= b_silu
    p_own = p_y + i_token * DEPTH + i_t[:, None] * heads * DEPTH + i_v
    tl.store(p_own, b_y.to(p_y.dtype.element_ty), mask=(i_t[:, None] < count) & (i_v < DEPTH))


# Kernels are private by their names, which are what a profile shows.
outputs_fwd_kernel = _selective_scan_fwd_kernel
