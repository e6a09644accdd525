"""States between the chunks of a sequence in triton, and their gradients: all that goes in order.

A program has one sequence, one head and a block of its values. Names follow README.md.
"""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl

from librehps.kernels.selective_scan.triton_chunks import (
    load_chunk,
    load_decays,
    load_gradient,
    product,
)

__all__ = ["states_bwd_kernel", "states_fwd_kernel"]


@triton.jit
@no_type_check
def sequence_of(p_bounds, heads, DEPTH: tl.constexpr, BT: tl.constexpr, BV: tl.constexpr):
    """Return what this program has: sequence, head, first value, tokens, and its first slot."""
    blocks: tl.constexpr = (DEPTH + BV - 1) // BV
    i_value = (tl.program_id(0) % blocks) * BV
    i_head = ((tl.program_id(0) // blocks) % heads).to(tl.int64)
    i_sequence = (tl.program_id(0) // (blocks * heads)).to(tl.int64)
    start = tl.load(p_bounds + i_sequence).to(tl.int64)
    length = (tl.load(p_bounds + i_sequence + 1) - start).to(tl.int32)
    return i_sequence, i_head, i_value, start, length, start // BT + i_sequence


@triton.jit
@no_type_check
def _states_fwd_kernel(
    p_x,
    p_B,
    p_step,
    p_decay,
    p_initial,
    p_bounds,
    p_states,
    p_final,
    heads,
    per_group,
    stride_x_token,
    stride_x_head,
    stride_B_token,
    stride_B_group,
    WIDTH: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
    BT: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
):
    """Give ``p_states`` [M, heads, WIDTH, DEPTH], the state before each chunk, and the last ones.

    ``p_x`` [T, heads, DEPTH] and ``p_B`` [T, groups, WIDTH] with strides; ``p_step`` [T, heads];
    ``p_decay`` [T, heads, 2]; ``p_initial``, or None, and ``p_final`` [N, heads, WIDTH, DEPTH].
    """
    i_sequence, i_head, i_value, start, length, i_slot = sequence_of(p_bounds, heads, DEPTH, BT, BV)
    p_x += i_head * stride_x_head + i_value
    p_B += (i_head // per_group) * stride_B_group
    i_t = tl.arange(0, BT)
    i_k, i_v = tl.arange(0, BK)[:, None], i_value + tl.arange(0, BV)[None, :]
    i_state = i_k * DEPTH + i_v
    m_state = (i_k < WIDTH) & (i_v < DEPTH)
    i_own = (i_sequence * heads + i_head) * WIDTH * DEPTH
    b_state = tl.zeros((BK, BV), dtype=tl.float32)
    if p_initial is not None:
        b_state += tl.load(p_initial + i_own + i_state, mask=m_state, other=0.0).to(tl.float32)
    for chunk in range(0, tl.cdiv(length, BT)):
        first = start + chunk * BT
        count = tl.minimum(length - chunk * BT, BT)
        i_before = ((i_slot + chunk) * heads + i_head) * WIDTH * DEPTH
        tl.store(p_states + i_before + i_state, b_state, mask=m_state)
        i_token = first * heads + i_head
        _, _, _, b_write, whole = load_decays(p_decay + 2 * i_token, count, heads, BT)
        b_write *= tl.load(p_step + i_token + i_t * heads, mask=i_t < count, other=0.0)
        b_B = load_chunk(p_B + first * stride_B_token, count, stride_B_token, WIDTH, BT, BK)
        p_own = p_x + first * stride_x_token
        b_x = load_chunk(p_own, count, stride_x_token, DEPTH - i_value, BT, BV).to(tl.float32)
        b_state *= whole
        b_state += product(tl.trans(b_B), b_x * b_write[:, None], PRECISION)
    tl.store(p_final + i_own + i_state, b_state, mask=m_state)


@triton.jit
@no_type_check
def _states_bwd_kernel(
    p_C,
    p_z,
    p_decay,
    p_bounds,
    p_states,
    p_grad_y,
    p_grad_final,
    p_grad_states,
    p_grad_whole,
    p_grad_initial,
    heads,
    per_group,
    stride_z_token,
    stride_z_head,
    stride_C_token,
    stride_C_group,
    WIDTH: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
    BT: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
):
    """Give ``p_grad_states`` [M, heads, WIDTH, DEPTH], the gradient of the state after each chunk.

    ``p_grad_whole`` [M, heads, blocks of values] is the gradient of the decay over each chunk,
    times that decay. ``p_z`` [T, heads, DEPTH] and ``p_C`` [T, groups, WIDTH] with strides;
    ``p_grad_y`` [T, heads, DEPTH]; ``p_states`` before each chunk; ``p_grad_final`` and
    ``p_grad_initial`` [N, heads, WIDTH, DEPTH], or None.
    """
    blocks: tl.constexpr = (DEPTH + BV - 1) // BV
    i_sequence, i_head, i_value, start, length, i_slot = sequence_of(p_bounds, heads, DEPTH, BT, BV)
    p_C += (i_head // per_group) * stride_C_group
    i_k, i_v = tl.arange(0, BK)[:, None], i_value + tl.arange(0, BV)[None, :]
    i_state = i_k * DEPTH + i_v
    m_state = (i_k < WIDTH) & (i_v < DEPTH)
    i_own = (i_sequence * heads + i_head) * WIDTH * DEPTH
    b_state = tl.zeros((BK, BV), dtype=tl.float32)
    if p_grad_final is not None:
        b_state += tl.load(p_grad_final + i_own + i_state, mask=m_state, other=0.0)
    chunks = tl.cdiv(length, BT)
    for back in range(0, chunks):
        chunk = chunks - 1 - back
        first = start + chunk * BT
        count = tl.minimum(length - chunk * BT, BT)
        i_after = ((i_slot + chunk) * heads + i_head) * WIDTH * DEPTH
        tl.store(p_grad_states + i_after + i_state, b_state, mask=m_state)
        i_token = first * heads + i_head
        _, _, b_read, _, whole = load_decays(p_decay + 2 * i_token, count, heads, BT)
        b_state *= whole
        b_before = tl.load(p_states + i_after + i_state, mask=m_state, other=0.0)
        i_whole = ((i_slot + chunk) * heads + i_head) * blocks + i_value // BV
        tl.store(p_grad_whole + i_whole, tl.sum(b_state * b_before))
        b_C = load_chunk(p_C + first * stride_C_token, count, stride_C_token, WIDTH, BT, BK)
        p_gate = p_z
        if p_z is not None:
            p_gate = p_z + first * stride_z_token + i_head * stride_z_head + i_value
        b_grad = load_gradient(
            p_grad_y + i_token * DEPTH + i_value,
            p_gate,
            count,
            heads * DEPTH,
            stride_z_token,
            DEPTH - i_value,
            BT,
            BV,
        )
        b_state += product(tl.trans(b_C), b_grad * b_read[:, None], PRECISION)
    if p_grad_initial is not None:
        b_state = b_state.to(p_grad_initial.dtype.element_ty)
        tl.store(p_grad_initial + i_own + i_state, b_state, mask=m_state)


# Kernels are private by their names, which are what a profile shows.
states_fwd_kernel, states_bwd_kernel = _states_fwd_kernel, _states_bwd_kernel
