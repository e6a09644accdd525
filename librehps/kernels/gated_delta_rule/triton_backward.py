"""The gated delta rule in triton, backward: the walk from a sequence's last chunk to its first.

It carries the gradient of the memory, as the forward pass carries the memory, and in the same
orientation, [BV, ...]. What else the gradients need of a chunk, no other chunk waits for:
`triton_gradients.py` takes it up from what is written here.

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

__all__ = ["walk_backward"]


def walk_backward(
    pack: Pack,
    walk: Walk,
    *,
    grad_o: Tensor,
    grad_final: Tensor | None,
    grad_initial: Tensor | None,
    grad_states: Tensor,
    solved: Tensor,
) -> None:
    """Walk every sequence from its last token to its first.

    Args:
        pack: The inputs.
        walk: The sequences, and the slots of their first chunks.
        grad_o: Gradient of what was read, [T, HV, V], the last dimension contiguous.
        grad_final: Gradient of the memory after each sequence, [N, HV, K, V]; ``None`` for zeros.
        grad_initial: Filled with the gradient of the memory before it; may be ``None``.
        grad_states: Filled with the gradient of the memory after every chunk, [slots, HV, K, V].
        solved: Filled with README's ``Y``, [T, HV, V].
    """
    launch(
        _gated_delta_rule_bwd_kernel,
        walk.grid(pack),
        *(*pack.tensors, grad_o, grad_final, walk.spans.starts, walk.spans.ends, walk.slots),
        *(grad_initial, grad_states, solved, *pack.heads, *pack.strides),
        *(grad_o.stride(0), grad_o.stride(1)),
        **pack.constants,
        **walk.tile.options,
    )


@triton.jit
@no_type_check
def _gated_delta_rule_bwd_kernel(
    p_q,
    p_k,
    p_v,
    p_g,
    p_beta,
    p_a_log,
    p_dt_bias,
    p_grad_o,
    p_grad_final,
    p_starts,
    p_ends,
    p_slots,
    p_grad_initial,
    p_grad_states,
    p_solved,
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
    """Own BV value columns of a head in a sequence.

    ``p_q`` and ``p_k`` [T, HK, K], ``p_v``, ``p_grad_o`` and ``p_solved`` [T, HV, V], ``p_g`` and
    ``p_beta`` [T, HV]; ``p_a_log`` and ``p_dt_bias`` [HV] or None; ``p_grad_final`` and
    ``p_grad_initial`` [N, HV, K, V] or None; ``p_starts``, ``p_ends`` and ``p_slots`` [N];
    ``p_grad_states`` [slots, HV, K, V].
    """
    blocks = tl.cdiv(DEPTH, BV)
    i_sequence = (tl.program_id(0) // (HEADS * blocks)).to(tl.int64)
    i_head = (tl.program_id(0) // blocks % HEADS).to(tl.int64)
    i_value = (tl.program_id(0) % blocks * BV + tl.arange(0, BV)).to(tl.int64)
    i_width, i_chunk = tl.arange(0, BK).to(tl.int64), tl.arange(0, BT).to(tl.int64)
    # Where blocks fit, there is nothing to hide: masks and their registers go.
    m_value = (i_value < DEPTH) | (DEPTH % BV == 0)
    m_width = (i_width < WIDTH) | (WIDTH == BK)
    start = tl.load(p_starts + i_sequence).to(tl.int64)
    tokens = (tl.load(p_ends + i_sequence) - start).to(tl.int32)
    chunks = tl.cdiv(tokens, BT)
    start += (chunks - 1) * BT
    slot = tl.load(p_slots + i_sequence).to(tl.int64) + chunks - 1
    p_q += i_head // PER_KEY * STRIDE_Q_HEAD + start * STRIDE_Q
    p_k += i_head // PER_KEY * STRIDE_K_HEAD + start * STRIDE_K
    p_g += start * HEADS + i_head
    p_beta += start * HEADS + i_head
    p_grad_o += i_head * STRIDE_O_HEAD + start * STRIDE_O
    p_solved += (start * HEADS + i_head) * DEPTH
    # In 64 bits what is constant of a place is a part of the instruction, and takes no register.
    i_state = i_width[None, :] * DEPTH + i_value[:, None]
    i_state += i_head * WIDTH * DEPTH
    m_state = m_width[None, :] & m_value[:, None]
    states = HEADS * WIDTH * DEPTH

    b_grad = tl.zeros((BV, BK), dtype=tl.float32)
    if p_grad_final is not None:
        b_grad += tl.load(p_grad_final + i_sequence * states + i_state, mask=m_state, other=0.0)
    rate, bias = load_head(p_a_log, p_dt_bias, i_head)
    for passed in range(0, chunks):
        m_token = (chunks - 1 - passed) * BT + i_chunk < tokens
        m_tile = m_value[:, None] & m_token[None, :]
        b_k, b_k_factor = load_unit_rows(
            p_k, i_chunk, m_token, i_width, m_width, STRIDE_K, 1.0, NORMALIZE
        )
        b_k = b_k.to(p_k.dtype.element_ty)
        b_g, b_beta, _, _ = load_gates(p_g, p_beta, p_a_log, rate, bias, i_chunk, m_token, HEADS)
        b_high, b_low, b_read, b_write, whole = sum_decays(b_g)
        # Rows are who reads, columns are what was written.
        b_pairs = pair_decays(b_high, b_low, BT, False)
        b_system = unit_products(
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
        b_system *= b_pairs * b_beta[:, None]
        b_system = tl.where(i_chunk[:, None] > i_chunk[None, :], b_system, 0.0)
        b_inverse = invert_unit_triangular(b_system, BT, PRECISION).to(b_k.dtype)

        b_after = b_grad.to(b_k.dtype)
        tl.store(
            p_grad_states + (slot - passed) * states + i_state,
            b_after.to(p_grad_states.dtype.element_ty),
            mask=m_state,
        )
        b_update = tl.dot(b_after, tl.trans(b_k), input_precision=PRECISION) * b_write[None, :]
        b_q, b_q_factor = load_unit_rows(
            p_q, i_chunk, m_token, i_width, m_width, STRIDE_Q, SCALE, NORMALIZE
        )
        b_q = b_q.to(b_k.dtype)
        b_scores = (
            unit_products(
                b_q,
                b_q_factor,
                p_q,
                b_k,
                b_k_factor,
                p_k,
                i_chunk,
                m_token,
                WIDTH,
                STRIDE_Q,
                STRIDE_K,
                PRECISION,
            )
            * b_pairs
        )
        p_tile = p_grad_o + i_chunk[None, :] * STRIDE_O + i_value[:, None]
        b_o = tl.load(p_tile, mask=m_tile, other=0.0)
        b_update += tl.dot(b_o.to(b_k.dtype), b_scores.to(b_k.dtype), input_precision=PRECISION)
        b_solved = tl.dot(b_update.to(b_k.dtype), b_inverse, input_precision=PRECISION)
        tl.store(
            p_solved + i_chunk[None, :] * HEADS * DEPTH + i_value[:, None],
            b_solved.to(p_solved.dtype.element_ty),
            mask=m_tile,
        )
        b_asked = (b_o.to(tl.float32) * b_read[None, :]).to(b_k.dtype)
        b_missed = (b_solved * (b_read * b_beta)[None, :]).to(b_k.dtype)
        b_grad = b_grad * whole + tl.dot(b_asked, b_q, input_precision=PRECISION)
        b_grad -= tl.dot(b_missed, b_k, input_precision=PRECISION)
        p_q -= BT * STRIDE_Q
        p_k -= BT * STRIDE_K
        p_g -= BT * HEADS
        p_beta -= BT * HEADS
        p_grad_o -= BT * STRIDE_O
        p_solved -= BT * HEADS * DEPTH
    if p_grad_initial is not None:
        tl.store(p_grad_initial + i_sequence * states + i_state, b_grad, mask=m_state)
