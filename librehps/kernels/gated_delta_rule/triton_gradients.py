"""The gated delta rule in triton, backward: the gradients of the tokens, chunk by chunk.

A program has a chunk of a key head, and takes the value heads that share it one after another: the
sums over them are in that order on every device, and nothing is added in memory.

Not run on a GPU yet: checked in triton's interpreter, and compiled ahead of time (see README.md).
"""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl
from torch import Tensor

from librehps.kernels.gated_delta_rule.triton_chunk import (
    load_gates,
    load_head,
    load_unit_rows,
    pair_decays,
    sum_decays,
    unit_products,
)
from librehps.kernels.gated_delta_rule.triton_pack import Pack, Walk
from librehps.kernels.triton_rows import launch

__all__ = ["token_gradients"]


def token_gradients(
    pack: Pack,
    chunks: Walk,
    *,
    grad_o: Tensor,
    states: Tensor,
    grad_states: Tensor,
    updates: Tensor,
    solved: Tensor,
    grads: tuple[Tensor, ...],
    grad_heads: Tensor | None,
) -> None:
    """Fill the gradients of all inputs but the memory before a sequence.

    Args:
        pack: The inputs.
        chunks: Every chunk.
        grad_o: Gradient of what was read, [T, HV, V], the last dimension contiguous.
        states: Memory before each chunk, [slots, HV, K, V].
        grad_states: Gradient of the memory after each chunk, [slots, HV, K, V].
        updates: README's ``U``, [T, HV, V].
        solved: README's ``Y``, [T, HV, V].
        grads: To be filled, contiguous, in the shapes of the inputs.
        grad_heads: Zeros, filled with what each chunk adds to the gradients of ``a_log`` and
            ``dt_bias``, [slots, 2, HV]; ``None`` where the op does not make its gates.
    """
    launch(
        _gated_delta_rule_tokens_kernel,
        (len(chunks.spans) * pack.q.shape[1],),
        *(*pack.tensors, grad_o, states, grad_states, updates, solved),
        *(chunks.spans.starts, chunks.spans.ends, *grads, grad_heads),
        # Once more as numbers, not constants: a loop that is unrolled fills the registers.
        *(pack.q.shape[2], pack.v.shape[2], *pack.heads, *pack.strides),
        *(grad_o.stride(0), grad_o.stride(1)),
        **pack.constants,
        **chunks.tile.options,
    )


@triton.jit
@no_type_check
def store_row_gradients(
    p, i_mask, b_grad, b_rows, b_factor, SCALE: tl.constexpr, NORMALIZE: tl.constexpr
):
    """Take the gradient of `load_unit_rows` back to what was loaded, and store it.

    With y = f x and f = SCALE / sqrt(x² + eps), x̄ = f (ȳ - y (y·ȳ) / SCALE²).
    """
    if NORMALIZE:
        along = tl.sum(b_rows * b_grad, axis=1) / (SCALE * SCALE)
        b_grad -= b_rows * along[:, None]
    tl.store(p, (b_grad * b_factor[:, None]).to(p.dtype.element_ty), mask=i_mask)


@triton.jit
@no_type_check
def _gated_delta_rule_tokens_kernel(
    p_q,
    p_k,
    p_v,
    p_g,
    p_beta,
    p_a_log,
    p_dt_bias,
    p_grad_o,
    p_states,
    p_grad_states,
    p_updates,
    p_solved,
    p_starts,
    p_ends,
    p_grad_q,
    p_grad_k,
    p_grad_v,
    p_grad_g,
    p_grad_beta,
    p_grad_heads,
    width,
    depth,
    HEADS: tl.constexpr,
    PER_KEY: tl.constexpr,
    STRIDE_Q: tl.constexpr,
    STRIDE_Q_HEAD: tl.constexpr,
    STRIDE_K: tl.constexpr,
    STRIDE_K_HEAD: tl.constexpr,
    STRIDE_V: tl.constexpr,
    STRIDE_V_HEAD: tl.constexpr,
    STRIDE_O: tl.constexpr,
    STRIDE_O_HEAD: tl.constexpr,
    WIDTH: tl.constexpr,
    DEPTH: tl.constexpr,
    SCALE: tl.constexpr,
    NORMALIZE: tl.constexpr,
    PRECISION: tl.constexpr,
    BT: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
):
    """Own a chunk of a key head with all of its value HEADS.

    Inputs, their gradients and ``p_grad_o``, ``p_updates`` and ``p_solved`` [T, HV, V] as in
    `token_gradients`; ``p_a_log`` and ``p_dt_bias`` [HV] or None; ``p_grad_heads`` [slots, 2, HV]
    or None; ``p_states`` and ``p_grad_states`` [slots, HV, K, V]; ``p_starts`` and ``p_ends``
    [slots].
    """
    key_heads = HEADS // PER_KEY
    i_slot = (tl.program_id(0) // key_heads).to(tl.int64)
    i_key = (tl.program_id(0) % key_heads).to(tl.int64)
    start, end = tl.load(p_starts + i_slot).to(tl.int64), tl.load(p_ends + i_slot).to(tl.int64)
    if start >= end:
        return
    i_chunk, i_width = tl.arange(0, BT).to(tl.int64), tl.arange(0, BK).to(tl.int64)
    m_width = (i_width < WIDTH) | (WIDTH == BK)
    m_token = i_chunk < end - start
    dtype = p_k.dtype.element_ty
    p_q += i_key * STRIDE_Q_HEAD + start * STRIDE_Q
    p_k += i_key * STRIDE_K_HEAD + start * STRIDE_K
    b_q, b_q_factor = load_unit_rows(
        p_q, i_chunk, m_token, i_width, m_width, STRIDE_Q, SCALE, NORMALIZE
    )
    b_k, b_k_factor = load_unit_rows(
        p_k, i_chunk, m_token, i_width, m_width, STRIDE_K, 1.0, NORMALIZE
    )
    b_q_low, b_k_low = b_q.to(dtype), b_k.to(dtype)
    b_qk = unit_products(
        b_q_low,
        b_q_factor,
        p_q,
        b_k_low,
        b_k_factor,
        p_k,
        i_chunk,
        m_token,
        width,
        STRIDE_Q,
        STRIDE_K,
        PRECISION,
    )
    b_kk = unit_products(
        b_k_low,
        b_k_factor,
        p_k,
        b_k_low,
        b_k_factor,
        p_k,
        i_chunk,
        m_token,
        width,
        STRIDE_K,
        STRIDE_K,
        PRECISION,
    )
    below = i_chunk[:, None] > i_chunk[None, :]
    above = i_chunk[:, None] < i_chunk[None, :]

    b_grad_q = tl.zeros((BT, BK), dtype=tl.float32)
    b_grad_k = tl.zeros((BT, BK), dtype=tl.float32)
    b_grad_qk = tl.zeros((BT, BT), dtype=tl.float32)
    b_grad_kq = tl.zeros((BT, BT), dtype=tl.float32)
    b_grad_kk = tl.zeros((BT, BT), dtype=tl.float32)
    for member in range(0, PER_KEY):
        i_head = i_key * PER_KEY + member
        i_own = (start + i_chunk) * HEADS + i_head
        i_first = start * HEADS + i_head
        rate, bias = load_head(p_a_log, p_dt_bias, i_head)
        b_g, b_beta, b_g_slope, b_beta_slope = load_gates(
            p_g + i_first, p_beta + i_first, p_a_log, rate, bias, i_chunk, m_token, HEADS
        )
        b_high, b_low, b_read, b_write, whole = sum_decays(b_g)
        b_asked = tl.zeros((BT, BK), dtype=tl.float32)
        b_missed = tl.zeros((BT, BK), dtype=tl.float32)
        b_wrote = tl.zeros((BT, BK), dtype=tl.float32)
        b_ou = tl.zeros((BT, BT), dtype=tl.float32)
        b_uo = tl.zeros((BT, BT), dtype=tl.float32)
        b_yu = tl.zeros((BT, BT), dtype=tl.float32)
        b_uy = tl.zeros((BT, BT), dtype=tl.float32)
        b_grad_beta = tl.zeros((BT,), dtype=tl.float32)
        b_carried = tl.zeros((BK,), dtype=tl.float32)
        for first in range(0, depth, BV):
            i_value = first + tl.arange(0, BV).to(tl.int64)
            m_value = (i_value < DEPTH) | (DEPTH % BV == 0)
            m_tile = m_token[:, None] & m_value[None, :]
            m_state = m_value[:, None] & m_width[None, :]
            i_tile = i_own[:, None] * DEPTH + i_value[None, :]
            p_tile = p_grad_o + (start + i_chunk)[:, None] * STRIDE_O + i_head * STRIDE_O_HEAD
            b_o = tl.load(p_tile + i_value[None, :], mask=m_tile, other=0.0).to(dtype)
            b_u = tl.load(p_updates + i_tile, mask=m_tile, other=0.0)
            b_y = tl.load(p_solved + i_tile, mask=m_tile, other=0.0)
            p_tile = p_v + (start + i_chunk)[:, None] * STRIDE_V + i_head * STRIDE_V_HEAD
            b_v = tl.load(p_tile + i_value[None, :], mask=m_tile, other=0.0).to(tl.float32)
            b_solved = b_y.to(tl.float32)
            b_grad_beta += tl.sum(b_solved * b_v, axis=1)
            b_grad_v = b_solved * b_beta[:, None]
            tl.store(p_grad_v + i_tile, b_grad_v.to(p_grad_v.dtype.element_ty), mask=m_tile)
            i_state = (i_slot * HEADS + i_head) * WIDTH * DEPTH
            i_state += i_width[None, :] * DEPTH + i_value[:, None]
            b_after = tl.load(p_grad_states + i_state, mask=m_state, other=0.0)
            b_wrote += tl.dot(b_u, b_after, input_precision=PRECISION)
            b_ou += tl.dot(b_o, tl.trans(b_u), input_precision=PRECISION)
            b_uo += tl.dot(b_u, tl.trans(b_o), input_precision=PRECISION)
            b_yu += tl.dot(b_y, tl.trans(b_u), input_precision=PRECISION)
            b_uy += tl.dot(b_u, tl.trans(b_y), input_precision=PRECISION)
            b_state = tl.load(p_states + i_state, mask=m_state, other=0.0)
            b_asked += tl.dot(b_o, b_state, input_precision=PRECISION)
            b_missed += tl.dot(b_y, b_state, input_precision=PRECISION)
            b_carried += tl.sum(b_state.to(tl.float32) * b_after.to(tl.float32), axis=0)

        # Reads of the memory before the chunk, and what is left of the writes after it.
        b_asked *= b_read[:, None]
        b_grad_q += b_asked
        b_grad_total = tl.sum(b_asked * b_q, axis=1)
        b_missed *= b_read[:, None]
        missed = tl.sum(b_missed * b_k, axis=1)
        b_grad_k -= b_missed * b_beta[:, None]
        b_grad_total -= missed * b_beta
        b_grad_beta -= missed
        b_wrote *= b_write[:, None]
        b_grad_k += b_wrote
        b_late = tl.sum(b_wrote * b_k, axis=1)

        # Queries against updates. The decay of a token to itself is constant: without the
        # diagonal the sums over rows and columns cancel only as far as they should.
        b_pairs = pair_decays(b_high, b_low, BT, False)
        b_ou *= b_pairs
        b_grad_qk += b_ou
        b_inner = tl.where(below, b_ou * b_qk, 0.0)
        b_grad_total += tl.sum(b_inner, axis=1) - tl.sum(b_inner, axis=0)
        # Keys against updates, where they enter with -beta.
        b_yu = tl.where(below, b_yu * b_pairs, 0.0)
        b_grad_kk -= b_yu * b_beta[:, None]
        b_inner = b_yu * b_kk
        erased = tl.sum(b_inner, axis=1)
        b_grad_beta -= erased
        b_grad_total += tl.sum(b_inner * b_beta[:, None], axis=0) - erased * b_beta
        # Both once more as their transposes, so that no result of a product is transposed.
        b_pairs = pair_decays(b_high, b_low, BT, True)
        b_grad_kq += b_uo * b_pairs
        b_grad_kk -= tl.where(above, b_uy * b_pairs, 0.0) * b_beta[None, :]

        b_grad_beta *= b_beta_slope
        tl.store(p_grad_beta + i_own, b_grad_beta.to(p_grad_beta.dtype.element_ty), mask=m_token)
        # g_t is part of every total from t on; a write decays by every later g.
        b_grad_g = tl.sum(tl.where(below, 0.0, b_grad_total[None, :]), axis=1)
        b_grad_g += tl.sum(tl.where(below, b_late[None, :], 0.0), axis=1)
        b_grad_g += tl.sum(b_carried, axis=0) * whole
        if p_grad_heads is not None:
            i_sum = i_slot * 2 * HEADS + i_head
            # The log decay is its own derivative by the logarithm of the rate.
            tl.store(p_grad_heads + i_sum, tl.sum(tl.where(m_token, b_grad_g * b_g, 0.0), axis=0))
            b_sum = tl.where(m_token, b_grad_g * b_g_slope, 0.0)
            tl.store(p_grad_heads + i_sum + HEADS, tl.sum(b_sum, axis=0))
        b_grad_g *= b_g_slope
        tl.store(p_grad_g + i_own, b_grad_g.to(p_grad_g.dtype.element_ty), mask=m_token)

    b_grad_q += tl.dot(b_grad_qk.to(dtype), b_k_low, input_precision=PRECISION)
    b_grad_k += tl.dot(b_grad_kq.to(dtype), b_q_low, input_precision=PRECISION)
    b_grad_k += tl.dot(b_grad_kk.to(dtype), b_k_low, input_precision=PRECISION)
    i_out = ((start + i_chunk)[:, None] * key_heads + i_key) * WIDTH + i_width[None, :]
    mask = m_token[:, None] & m_width[None, :]
    store_row_gradients(p_grad_q + i_out, mask, b_grad_q, b_q, b_q_factor, SCALE, NORMALIZE)
    store_row_gradients(p_grad_k + i_out, mask, b_grad_k, b_k, b_k_factor, 1.0, NORMALIZE)
