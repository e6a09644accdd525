"""Gradients of what is written, ``x``, and of the bypass, in triton: the outputs' mirror image.

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
    load_gradient,
    load_span,
    pair_decays_transposed,
    product,
    read_and_pair,
)

__all__ = ["values_bwd_kernel"]


@triton.jit
@no_type_check
def _selective_scan_bwd_kernel(
    p_x,
    p_z,
    p_B,
    p_C,
    p_D,
    p_step,
    p_decay,
    p_slots,
    p_grad_states,
    p_grad_y,
    p_grad_x,
    p_grad_D,
    p_grad_step,
    p_grad_write,
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
    """Give ``p_grad_x`` [T, heads, DEPTH], and sums over values in float32.

    ``p_grad_step`` [T, heads] is the gradient of the step as what is written, and ``p_grad_write``
    [T, heads] that of the decay to the chunk's end, times that decay; ``p_grad_D`` [M, heads], or
    None, has a sum for each chunk. ``p_grad_states`` [M, heads, WIDTH, DEPTH] is the gradient of
    the state after each chunk. ``p_x``, ``p_z`` [T, heads, DEPTH] and ``p_B``, ``p_C``
    [T, groups, WIDTH] have strides, ``p_grad_y`` has none. A program for each chunk and head.
    """
    i_slot, i_head = chunk_and_head(heads)
    start, count = load_span(p_slots, i_slot)
    i_t, i_v = tl.arange(0, BT), tl.arange(0, BV)[None, :]
    p_B += start * stride_B_token + (i_head // per_group) * stride_B_group
    p_C += start * stride_C_token + (i_head // per_group) * stride_C_group
    p_grad_states += (i_slot * heads + i_head) * WIDTH * DEPTH
    b_values, b_pairs = read_and_pair(
        p_B,
        p_C,
        p_grad_states,
        count,
        stride_B_token,
        stride_C_token,
        WIDTH,
        DEPTH,
        PRECISION,
        BT,
        BK,
        BV,
    )
    i_token = start * heads + i_head
    b_high, b_low, _, b_write, _ = load_decays(p_decay + 2 * i_token, count, heads, BT)
    b_values *= b_write[:, None]
    b_pairs *= pair_decays_transposed(b_high, b_low, count, BT)
    p_own = p_x + start * stride_x_token + i_head * stride_x_head
    b_x = load_chunk(p_own, count, stride_x_token, DEPTH, BT, BV).to(tl.float32)
    b_step = tl.load(p_step + i_token + i_t * heads, mask=i_t < count, other=0.0)
    p_own = p_grad_write + i_token + i_t * heads
    tl.store(p_own, b_step * tl.sum(b_values * b_x, axis=1), mask=i_t < count)
    p_gate = p_z
    if p_z is not None:
        p_gate = p_z + start * stride_z_token + i_head * stride_z_head
    b_grad = load_gradient(
        p_grad_y + i_token * DEPTH, p_gate, count, heads * DEPTH, stride_z_token, DEPTH, BT, BV
    )
    b_values += product(b_pairs, b_grad, PRECISION)
    p_own = p_grad_step + i_token + i_t * heads
    tl.store(p_own, tl.sum(b_values * b_x, axis=1), mask=i_t < count)
    b_values *= b_step[:, None]
    if p_D is not None:
        b_values += tl.load(p_D + i_head).to(tl.float32) * b_grad
        tl.store(p_grad_D + i_slot * heads + i_head, tl.sum(b_grad * b_x))
    p_own = p_grad_x + i_token * DEPTH + i_t[:, None] * heads * DEPTH + i_v
    mask = (i_t[:, None] < count) & (i_v < DEPTH)
    tl.store(p_own, b_values.to(p_grad_x.dtype.element_ty), mask=mask)


# Kernels are private by their names, which are what a profile shows.
values_bwd_kernel = _selective_scan_bwd_kernel
