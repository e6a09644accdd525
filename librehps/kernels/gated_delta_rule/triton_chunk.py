"""What the triton kernels of the gated delta rule share: the algebra of a chunk.

Names follow README.md in this folder. ``BT`` tokens are a chunk; a token that does not exist has
queries, keys and values of 0, ``beta`` 0 and ``g`` 0: it writes nothing, and nothing decays.
"""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl

from librehps.kernels.gated_delta_rule.reference import NORM_EPS
from librehps.kernels.triton_rows import sigmoid_and_slope, softplus_and_slope

__all__ = [
    "invert_unit_triangular",
    "load_gates",
    "load_head",
    "load_unit_rows",
    "pair_decays",
    "sum_decays",
    "unit_products",
]

_EPS = tl.constexpr(NORM_EPS)
# exp(-1e5) is 0 in float32; the floor keeps differences of cumulative decays finite.
_DECAY_FLOOR = tl.constexpr(-1e5)


@triton.jit
@no_type_check
def load_unit_rows(
    p,
    i_token,
    m_token,
    i_column,
    m_column,
    STRIDE: tl.constexpr,
    SCALE: tl.constexpr,
    NORMALIZE: tl.constexpr,
):
    """Load queries or keys [BT, BK], divide them by their norm and scale them.

    Args:
        p: Of a head; rows STRIDE apart.
        i_token: [BT], which rows.
        m_token: [BT], which of them exist.
        i_column: [BK].
        m_column: [BK], which of them exist.
        STRIDE: From row to row.
        SCALE: Factor.
        NORMALIZE: Whether to divide by the norm.

    Returns:
        The rows in float32, and the factors [BT] that made them.
    """
    mask = m_token[:, None] & m_column[None, :]
    b_x = tl.load(p + i_token[:, None] * STRIDE + i_column[None, :], mask=mask, other=0.0)
    b_x = b_x.to(tl.float32)
    b_factor = tl.full(i_token.shape, SCALE, tl.float32)
    if NORMALIZE:
        b_factor = SCALE / tl.sqrt(tl.sum(b_x * b_x, axis=1) + _EPS)
    return b_x * b_factor[:, None], b_factor


@triton.jit
@no_type_check
def unit_products(
    b_a,
    b_a_factor,
    p_a,
    b_b,
    b_b_factor,
    p_b,
    i_token,
    m_token,
    width,
    STRIDE_A: tl.constexpr,
    STRIDE_B: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Return the products [BT, BT] of rows ``b_a`` with rows ``b_b``, both from `load_unit_rows`.

    Exact float32 products have no tensor cores: a thread holds whole rows of both sides, and they
    fill its registers. Then the rows are read once more, some columns at a time.

    Args:
        b_a: Rows in the dtype of products, [BT, BK].
        b_a_factor: What made them, [BT].
        p_a: Where they were loaded.
        b_b: Like ``b_a``.
        b_b_factor: Like ``b_a_factor``.
        p_b: Like ``p_a``.
        i_token: [BT], which rows.
        m_token: [BT], which of them exist.
        width: Columns that exist; where it is a constant the loop may be unrolled.
        STRIDE_A: From row to row.
        STRIDE_B: From row to row.
        PRECISION: Of the products.
    """
    if PRECISION != "ieee":
        return tl.dot(b_a, tl.trans(b_b), input_precision=PRECISION)
    b_products = tl.zeros((b_a.shape[0], b_a.shape[0]), dtype=tl.float32)
    for first in range(0, width, 16):
        i_column = first + tl.arange(0, 16)
        mask = m_token[:, None] & (i_column < width)[None, :]
        b_left = tl.load(p_a + i_token[:, None] * STRIDE_A + i_column[None, :], mask, other=0.0)
        b_right = tl.load(p_b + i_token[:, None] * STRIDE_B + i_column[None, :], mask, other=0.0)
        b_products += tl.dot(b_left, tl.trans(b_right), input_precision=PRECISION)
    return b_products * b_a_factor[:, None] * b_b_factor[None, :]


@triton.jit
@no_type_check
def load_head(p_a_log, p_dt_bias, i_head):
    """Load how fast a head forgets per unit of step, at most 0, and what is added to its steps.

    Once, before a loop: it stores, so that nothing in it could be loaded once by itself.
    """
    rate = 0.0
    bias = 0.0
    if p_a_log is not None:
        rate = -tl.exp(tl.load(p_a_log + i_head).to(tl.float32))
        bias = tl.load(p_dt_bias + i_head).to(tl.float32)
    return rate, bias


@triton.jit
@no_type_check
def load_gates(p_g, p_beta, p_a_log, rate, bias, i_token, m_token, HEADS: tl.constexpr):
    """Load how much of a head's memory each token keeps, and at what rate it writes.

    Args:
        p_g: Log decays of a head, or what they are made from; one for a token, HEADS apart.
        p_beta: Rates, or their logits, in the same places.
        p_a_log: None where nothing is to be made.
        rate: From `load_head`.
        bias: From `load_head`.
        i_token: [BT], which tokens.
        m_token: [BT], which of them exist.
        HEADS: HV.

    Returns:
        Log decays and rates, [BT], 0 for tokens that do not exist; and the derivatives of the log
        decay and of the rate by what was loaded.
    """
    b_g = tl.load(p_g + i_token * HEADS, mask=m_token, other=0.0).to(tl.float32)
    b_beta = tl.load(p_beta + i_token * HEADS, mask=m_token, other=0.0).to(tl.float32)
    b_g_slope = tl.full(i_token.shape, 1.0, tl.float32)
    b_beta_slope = tl.full(i_token.shape, 1.0, tl.float32)
    if p_a_log is not None:
        b_step, b_slope = softplus_and_slope(b_g + bias)
        b_g, b_g_slope = tl.where(m_token, rate * b_step, 0.0), rate * b_slope
        b_sigmoid, b_beta_slope = sigmoid_and_slope(b_beta)
        b_beta = tl.where(m_token, b_sigmoid, 0.0)
    return b_g, b_beta, b_g_slope, b_beta_slope


@triton.jit
@no_type_check
def sum_decays(b_g):
    """Add the log decays [BT] of a head up from the begin of the chunk.

    After a strong decay the float32 value of the sum is too coarse for the differences between the
    tokens that follow: it is a float64 sum, handed on as two float32 parts.

    Returns:
        Of each token [BT]: both parts of the sum, the decay from before the chunk and that to its
        end; and the decay over the chunk.
    """
    b_g = b_g.to(tl.float64)
    # A comparison, since a maximum would turn NaN into the floor.
    b_g = tl.where(b_g < _DECAY_FLOOR, _DECAY_FLOOR, b_g)
    b_total = tl.cumsum(b_g, axis=0)
    last = tl.sum(b_g, axis=0)
    b_high = b_total.to(tl.float32)
    b_low = (b_total - b_high.to(tl.float64)).to(tl.float32)
    b_write = tl.exp((last - b_total).to(tl.float32))
    return b_high, b_low, tl.exp(b_high), b_write, tl.exp(last.to(tl.float32))


@triton.jit
@no_type_check
def pair_decays(b_high, b_low, BT: tl.constexpr, LATER_IN_COLUMNS: tl.constexpr):
    """Return the decay from the earlier to the later token of each pair, 0 for pairs out of order.

    Args:
        b_high: From `load_decays`.
        b_low: From `load_decays`.
        BT: Tokens.
        LATER_IN_COLUMNS: Whether rows stand for the earlier tokens: the transpose of README's D.
    """
    i_row, i_column = tl.arange(0, BT)[:, None], tl.arange(0, BT)[None, :]
    b_span = (b_high[:, None] - b_high[None, :]) + (b_low[:, None] - b_low[None, :])
    in_order = i_row >= i_column
    if LATER_IN_COLUMNS:
        b_span = -b_span
        in_order = i_row <= i_column
    # Out of order the difference is positive: cut it off before exp can overflow.
    return tl.where(in_order, tl.exp(tl.minimum(b_span, 0.0)), 0.0)


@triton.jit
@no_type_check
def invert_unit_triangular(b_part, BT: tl.constexpr, PRECISION: tl.constexpr):
    """Invert ``I + b_part``, where ``b_part`` [BT, BT] is strictly lower or strictly upper.

    Blocks are joined to blocks of twice the size, ``[[X, 0], [-Z M X, Z]]``, all of a size at once:
    with X for the inverses of the blocks and M for what lies between two that are joined, that is
    ``X - X M X``. The first step, from single elements, needs no product.

    Args:
        b_part: In float32, 0 on the diagonal and on the other side of it.
        BT: A power of two.
        PRECISION: Of the products.
    """
    i_row, i_column = tl.arange(0, BT)[:, None], tl.arange(0, BT)[None, :]
    b_inverse = tl.where(i_row == i_column, 1.0, 0.0)
    b_inverse -= tl.where(i_row // 2 == i_column // 2, b_part, 0.0)
    for level in tl.static_range(1, 7):
        if 2**level < BT:
            i_block_row, i_block_column = i_row // 2**level, i_column // 2**level
            joined = (i_block_row // 2 == i_block_column // 2) & (i_block_row != i_block_column)
            b_between = tl.where(joined, b_part, 0.0)
            b_corner = tl.dot(b_between, b_inverse, input_precision=PRECISION)
            b_inverse -= tl.dot(b_inverse, b_corner, input_precision=PRECISION)
    return b_inverse
