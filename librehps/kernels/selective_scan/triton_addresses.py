"""Gradients of where is written and read, ``B`` and ``C``, in triton.

The heads of a group share both. A program has one chunk, one group and a part of its heads, so that
a sum over heads is formed on the chip. Names follow README.md.
"""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl

from librehps.kernels.selective_scan.triton_chunks import (
    load_chunk,
    load_decays,
    load_gradient,
    load_span,
    pair_decays,
    pair_decays_transposed,
    product,
)

__all__ = ["addresses_bwd_kernel"]


@triton.jit
@no_type_check
def _addresses_bwd_kernel(
    p_x,
    p_z,
    p_other,
    p_step,
    p_decay,
    p_slots,
    p_states,
    p_grad_y,
    p_partial,
    tokens,
    heads,
    groups,
    stride_x_token,
    stride_x_head,
    stride_z_token,
    stride_z_head,
    stride_other_token,
    stride_other_group,
    WRITTEN: tl.constexpr,
    WIDTH: tl.constexpr,
    DEPTH: tl.constexpr,
    PART: tl.constexpr,
    PRECISION: tl.constexpr,
    BT: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
):
    """Sum over PART heads at most: ``p_partial`` [parts, T, groups, WIDTH], float32.

    With WRITTEN it is the gradient of ``B``: ``p_other`` is ``C`` [T, groups, WIDTH] with strides,
    and ``p_states`` [M, heads, WIDTH, DEPTH] the gradient of the state after each chunk. Without it
    is that of ``C``: the other is ``B``, and the states are those before each chunk. ``p_x``,
    ``p_z`` [T, heads, DEPTH] have strides, ``p_grad_y`` has none; ``p_step`` [T, heads];
    ``p_decay`` [T, heads, 2]; ``p_slots`` [M, 2]. The grid is chunks, groups times parts, blocks of
    BK addresses.
    """
    i_slot, i_first = tl.program_id(0).to(tl.int64), tl.program_id(2) * BK
    i_group, i_part = (tl.program_id(1) % groups).to(tl.int64), tl.program_id(1) // groups
    per_group = heads // groups
    start, count = load_span(p_slots, i_slot)
    i_t = tl.arange(0, BT)
    i_k = i_first + tl.arange(0, BK)
    b_sum = tl.zeros((BT, BK), dtype=tl.float32)
    b_scores = tl.zeros((BT, BT), dtype=tl.float32)
    for offset in range(0, tl.minimum(PART, per_group - i_part * PART)):
        i_head = i_group * per_group + i_part * PART + offset
        i_token = start * heads + i_head
        p_own = p_x + start * stride_x_token + i_head * stride_x_head
        p_gate = p_z
        if p_z is not None:
            p_gate = p_z + start * stride_z_token + i_head * stride_z_head
        b_step = tl.load(p_step + i_token + i_t * heads, mask=i_t < count, other=0.0)
        b_high, b_low, b_read, b_write, _ = load_decays(p_decay + 2 * i_token, count, heads, BT)
        b_pairs = tl.zeros((BT, BT), dtype=tl.float32)
        # A part of the values at a time, to leave registers for the rest.
        for v in range(0, DEPTH, BV):
            p_ahead = p_gate if p_z is None else p_gate + v
            b_grad = load_gradient(
                p_grad_y + i_token * DEPTH + v,
                p_ahead,
                count,
                heads * DEPTH,
                stride_z_token,
                DEPTH - v,
                BT,
                BV,
            )
            b_x = load_chunk(p_own + v, count, stride_x_token, DEPTH - v, BT, BV).to(tl.float32)
            b_x *= b_step[:, None]
            i_v = v + tl.arange(0, BV)[None, :]
            # A slot without tokens has no states either; see `read_and_pair`.
            m_state = (i_k[:, None] < WIDTH) & (i_v < tl.where(count > 0, DEPTH, 0))
            i_state = (i_slot * heads + i_head) * WIDTH * DEPTH + i_k[:, None] * DEPTH + i_v
            b_state = tl.trans(tl.load(p_states + i_state, mask=m_state, other=0.0))
            if WRITTEN:
                b_sum += product(b_x * b_write[:, None], b_state, PRECISION)
                b_pairs += product(b_x, tl.trans(b_grad), PRECISION)
            else:
                b_sum += product(b_grad * b_read[:, None], b_state, PRECISION)
                b_pairs += product(b_grad, tl.trans(b_x), PRECISION)
        if WRITTEN:
            b_scores += b_pairs * pair_decays_transposed(b_high, b_low, count, BT)
        else:
            b_scores += b_pairs * pair_decays(b_high, b_low, count, BT)
    p_own = p_other + start * stride_other_token + i_group * stride_other_group + i_first
    b_other = load_chunk(p_own, count, stride_other_token, WIDTH - i_first, BT, BK)
    b_sum += product(b_scores, b_other, PRECISION)
    i_out = ((i_part.to(tl.int64) * tokens + start) * groups + i_group) * WIDTH
    i_out += i_t[:, None] * groups * WIDTH + i_k[None, :]
    tl.store(p_partial + i_out, b_sum, mask=(i_t[:, None] < count) & (i_k[None, :] < WIDTH))


# Kernels are private by their names, which are what a profile shows.
addresses_bwd_kernel = _addresses_bwd_kernel
