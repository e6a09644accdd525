"""The gated delta rule in triton, forward: a program walks the chunks of a span with its memory.

Everything that has value columns is held transposed, [BV, ...]: then the memory and what becomes of
it are the left factors of all products, which stay in registers from one to the next.

Not run on a GPU yet: checked in triton's interpreter, and compiled ahead of time (see README.md).
"""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl
from torch import Tensor

from librehps.kernels.gated_delta_rule.triton_chunk import (
    invert_unit_triangular,
    load_gates,
    load_head,
    load_unit_rows,
    pair_decays,
    sum_decays,
    unit_products,
)
from librehps.kernels.gated_delta_rule.triton_pack import Pack, Walk
from librehps.kernels.triton_rows import launch

__all__ = ["walk_forward"]


def walk_forward(
    pack: Pack,
    walk: Walk,
    *,
    initial: Tensor | None,
    o: Tensor | None = None,
    final: Tensor | None = None,
    states: Tensor | None = None,
    updates: Tensor | None = None,
    every: int = 1,
) -> None:
    """Walk every span from its first token to its last, and fill what is given.

    Args:
        pack: The inputs.
        walk: The spans, and the slots of their first states.
        initial: Memory before each span, [spans, HV, K, V]; ``None`` stands for zeros.
        o: What the queries read, [T, HV, V].
        final: Memory after each span, [spans, HV, K, V].
        states: Memory before every ``every``-th chunk, [slots, HV, K, V].
        updates: What the tokens write, ``U``, [T, HV, V].
        every: See ``states``.
    """
    launch(
        _gated_delta_rule_fwd_kernel,
        walk.grid(pack),
        *(*pack.tensors, initial, walk.spans.starts, walk.spans.ends, walk.slots),
        *(o, final, states, updates, *pack.heads, *pack.strides),
        EVERY=every,
        **pack.constants,
        **walk.tile.options,
    )


@triton.jit
@no_type_check
def _gated_delta_rule_fwd_kernel(
    p_q,
    p_k,
    p_v,
    p_g,
    p_beta,
    p_a_log,
    p_dt_bias,
    p_initial,
    p_starts,
    p_ends,
    p_slots,
    p_o,
    p_final,
    p_states,
    p_updates,
    HEADS: tl.constexpr,
    PER_KEY: tl.constexpr,
    STRIDE_Q: tl.constexpr,
    STRIDE_Q_HEAD: tl.constexpr,
    STRIDE_K: tl.constexpr,
    STRIDE_K_HEAD: tl.constexpr,
    STRIDE_V: tl.constexpr,
    STRIDE_V_HEAD: tl.constexpr,
    WIDTH: tl.constexpr,
    DEPTH: tl.constexpr,
    SCALE: tl.constexpr,
    NORMALIZE: tl.constexpr,
    EVERY: tl.constexpr,
    PRECISION: tl.constexpr,
    BT: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
):
    """Own BV value columns of a head in a span, from its first token to its last.

    ``p_q`` and ``p_k`` [T, HK, K], ``p_v`` [T, HV, V], ``p_g`` and ``p_beta`` [T, HV];
    ``p_a_log`` and ``p_dt_bias`` [HV]; ``p_initial`` and ``p_final`` [spans, HV, K, V];
    ``p_starts``, ``p_ends`` and ``p_slots`` [spans]; ``p_o`` and ``p_updates`` [T, HV, V].
    ``p_states`` [slots, HV, K, V] takes the memory before every EVERY-th chunk, from ``p_slots``
    on. Both of ``p_a_log`` and ``p_dt_bias`` may be None, and each of ``p_initial``, ``p_o``,
    ``p_final``, ``p_states`` and ``p_updates``.
    """
    blocks = tl.cdiv(DEPTH, BV)
    i_span = (tl.program_id(0) // (HEADS * blocks)).to(tl.int64)
    i_head = (tl.program_id(0) // blocks % HEADS).to(tl.int64)
    i_value = (tl.program_id(0) % blocks * BV + tl.arange(0, BV)).to(tl.int64)
    i_width, i_chunk = tl.arange(0, BK).to(tl.int64), tl.arange(0, BT).to(tl.int64)
    # Where blocks fit, there is nothing to hide: masks and their registers go.
    m_value = (i_value < DEPTH) | (DEPTH % BV == 0)
    m_width = (i_width < WIDTH) | (WIDTH == BK)
    start = tl.load(p_starts + i_span).to(tl.int64)
    tokens = (tl.load(p_ends + i_span) - start).to(tl.int32)

    i_tile, i_out = i_chunk[None, :] * STRIDE_V, i_chunk[None, :] * HEADS * DEPTH
    p_q += i_head // PER_KEY * STRIDE_Q_HEAD + start * STRIDE_Q
    p_k += i_head // PER_KEY * STRIDE_K_HEAD + start * STRIDE_K
    p_v += i_head * STRIDE_V_HEAD + start * STRIDE_V
    p_g += start * HEADS + i_head
    p_beta += start * HEADS + i_head
    # Of the memory [BV, BK] of a head, and from one to the next.
    # In 64 bits what is constant of a place is a part of the instruction, and takes no register.
    i_state = i_width[None, :] * DEPTH + i_value[:, None]
    i_state += i_head * WIDTH * DEPTH
    m_state = m_width[None, :] & m_value[:, None]
    states = HEADS * WIDTH * DEPTH

    if p_o is not None:
        p_o += (start * HEADS + i_head) * DEPTH
    if p_updates is not None:
        p_updates += (start * HEADS + i_head) * DEPTH
    b_state = tl.zeros((BV, BK), dtype=tl.float32)
    if p_initial is not None:
        b_initial = tl.load(p_initial + i_span * states + i_state, mask=m_state, other=0.0)
        b_state += b_initial.to(tl.float32)
    rate, bias = load_head(p_a_log, p_dt_bias, i_head)
    for first in range(0, tokens, BT):
        if p_states is not None:
            kept = first % (EVERY * BT) == 0
            if kept:
                slot = tl.load(p_slots + i_span).to(tl.int64) + first // (EVERY * BT)
                b_kept = b_state.to(p_states.dtype.element_ty)
                tl.store(p_states + slot * states + i_state, b_kept, mask=m_state)
        m_token = first + i_chunk < tokens
        m_tile = m_value[:, None] & m_token[None, :]
        b_k, b_k_factor = load_unit_rows(
            p_k, i_chunk, m_token, i_width, m_width, STRIDE_K, 1.0, NORMALIZE
        )
        b_k = b_k.to(p_k.dtype.element_ty)
        b_g, b_beta, _, _ = load_gates(p_g, p_beta, p_a_log, rate, bias, i_chunk, m_token, HEADS)
        b_beta = b_beta[None, :]
        b_high, b_rest, b_read, b_write, whole = sum_decays(b_g)
        # Rows are what was written, columns are who reads it.
        b_pairs = pair_decays(b_high, b_rest, BT, True)
        if p_o is not None:
            b_q, b_q_factor = load_unit_rows(
                p_q, i_chunk, m_token, i_width, m_width, STRIDE_Q, SCALE, NORMALIZE
            )
            b_q = b_q.to(b_k.dtype)
            b_scores = (
                unit_products(
                    b_k,
                    b_k_factor,
                    p_k,
                    b_q,
                    b_q_factor,
                    p_q,
                    i_chunk,
                    m_token,
                    WIDTH,
                    STRIDE_K,
                    STRIDE_Q,
                    PRECISION,
                )
                * b_pairs
            )
            b_scores = b_scores.to(b_k.dtype)
        b_system = (
            unit_products(
                b_k,
                b_k_factor,
                p_k,
                b_k,
                b_k_factor,
                p_k,
                i_chunk,
                m_token,
                WIDTH,
                STRIDE_K,
                STRIDE_K,
                PRECISION,
            )
            * b_pairs
            * b_beta
        )
        b_system = tl.where(i_chunk[:, None] < i_chunk[None, :], b_system, 0.0)
        b_inverse = invert_unit_triangular(b_system, BT, PRECISION).to(b_k.dtype)

        b_memory = b_state.to(b_k.dtype)
        b_recalled = tl.dot(b_memory, tl.trans(b_k), input_precision=PRECISION)
        if p_o is not None:
            b_o = tl.dot(b_memory, tl.trans(b_q), input_precision=PRECISION) * b_read[None, :]
        b_v = tl.load(p_v + i_tile + i_value[:, None], mask=m_tile, other=0.0).to(tl.float32)
        b_wanted = ((b_v - b_recalled * b_read[None, :]) * b_beta).to(b_k.dtype)
        b_update = tl.dot(b_wanted, b_inverse, input_precision=PRECISION)
        b_low = b_update.to(b_k.dtype)
        if p_updates is not None:
            tl.store(p_updates + i_out + i_value[:, None], b_low, mask=m_tile)
        if p_o is not None:
            b_o += tl.dot(b_low, b_scores, input_precision=PRECISION)
            b_o = b_o.to(p_o.dtype.element_ty)
            tl.store(p_o + i_out + i_value[:, None], b_o, mask=m_tile)
        b_written = (b_update * b_write[None, :]).to(b_k.dtype)
        b_state = b_state * whole + tl.dot(b_written, b_k, input_precision=PRECISION)
        p_q += BT * STRIDE_Q
        p_k += BT * STRIDE_K
        p_v += BT * STRIDE_V
        p_g += BT * HEADS
        p_beta += BT * HEADS
        if p_o is not None:
            p_o += BT * HEADS * DEPTH
        if p_updates is not None:
            p_updates += BT * HEADS * DEPTH
    if p_final is not None:
        tl.store(p_final + i_span * states + i_state, b_state, mask=m_state)
