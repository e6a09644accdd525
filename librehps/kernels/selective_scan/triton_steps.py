"""Steps and cumulative decays in triton, and their gradients back to what they are made of."""

from __future__ import annotations

from math import inf
from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from librehps.kernels.selective_scan.triton_chunks import load_span
from librehps.kernels.triton_rows import launch
from librehps.typing import Float, Int

__all__ = ["step_gradients", "steps_and_decays"]

# Heads of a program.
_HEADS = 16


def steps_and_decays(
    dt: Float[Tensor, "T HV"],
    A: Float[Tensor, " HV"],
    dt_bias: Float[Tensor, " HV"] | None,
    slots: Int[Tensor, "M 2"],
    *,
    softplus: bool,
    limit: tuple[float, float],
    chunk_size: int,
) -> tuple[Float[Tensor, "T HV"], Float[Tensor, "T HV 2"]]:
    """Return the step of each token, and the log decay from its chunk's begin in two parts.

    Steps and sums are float64 and rounded at the end: after a strong decay a sum in float32 is too
    coarse for the differences that follow, and small steps come from a softplus that must not lose
    what it adds to one. A part and what it leaves out are two float32.
    """
    step = torch.empty(dt.shape, dtype=torch.float32, device=dt.device)
    decay = torch.empty(*dt.shape, 2, dtype=torch.float32, device=dt.device)
    heads = dt.shape[1]
    launch(
        _steps_fwd_kernel,
        (slots.shape[0], triton.cdiv(heads, _HEADS)),
        *(dt, A, dt_bias, slots, step, decay, heads),
        SOFTPLUS=softplus,
        LOW=limit[0],
        HIGH=_high(limit),
        BT=chunk_size,
        HEADS=_HEADS,
        num_warps=8,
    )
    return step, decay


def step_gradients(
    dt: Float[Tensor, "T HV"],
    A: Float[Tensor, " HV"],
    dt_bias: Float[Tensor, " HV"] | None,
    slots: Int[Tensor, "M 2"],
    grad_step: Float[Tensor, "T HV"],
    grad_decay: Float[Tensor, "T HV"],
    *,
    softplus: bool,
    limit: tuple[float, float],
    chunk_size: int,
) -> tuple[Float[Tensor, "T HV"], Float[Tensor, " HV"], Float[Tensor, " HV"] | None]:
    """Return the gradients of ``dt``, ``A`` and ``dt_bias``, each in the dtype of its tensor.

    Args:
        dt: As for `steps_and_decays`, like all that is not explained here.
        A: Rates.
        dt_bias: Added to ``dt``.
        slots: The chunks.
        grad_step: Of the step as what is written.
        grad_decay: Of each token's own log decay.
        softplus: Whether the step is a softplus.
        limit: Smallest and largest step.
        chunk_size: Most tokens of a chunk.
    """
    grad_dt = torch.empty(dt.shape, dtype=dt.dtype, device=dt.device)
    heads, chunks = dt.shape[1], slots.shape[0]
    # Of rate and bias, a sum for each chunk; torch adds these, in one order.
    partial = torch.empty(chunks, 2, heads, dtype=torch.float32, device=dt.device)
    launch(
        _steps_bwd_kernel,
        (chunks, triton.cdiv(heads, _HEADS)),
        *(dt, A, dt_bias, slots, grad_step, grad_decay, grad_dt, partial, heads),
        SOFTPLUS=softplus,
        LOW=limit[0],
        HIGH=_high(limit),
        BT=chunk_size,
        HEADS=_HEADS,
        num_warps=4,
    )
    grad_A, grad_bias = partial.sum(dim=0)
    return grad_dt, grad_A.to(A.dtype), None if dt_bias is None else grad_bias.to(dt_bias.dtype)


def _high(limit: tuple[float, float]) -> float | None:
    return None if limit[1] == inf else limit[1]


@triton.jit
@no_type_check
def step_of(
    p_dt,
    p_bias,
    start,
    count,
    heads,
    SOFTPLUS: tl.constexpr,
    LOW: tl.constexpr,
    HIGH: tl.constexpr,
    BT: tl.constexpr,
    HEADS: tl.constexpr,
):
    """Return places [BT, HEADS], which of them exist, steps in float64, and their slopes."""
    i_token = tl.arange(0, BT)[:, None]
    i_head = (tl.program_id(1) * HEADS + tl.arange(0, HEADS))[None, :]
    mask = (i_token < count) & (i_head < heads)
    i_place = (start + i_token) * heads + i_head
    b_step = tl.load(p_dt + i_place, mask=mask, other=0.0).to(tl.float64)
    if p_bias is not None:
        b_step += tl.load(p_bias + i_head, mask=i_head < heads, other=0.0).to(tl.float64)
    b_slope = tl.full((BT, HEADS), 1.0, dtype=tl.float64)
    if SOFTPLUS:
        b_exp = tl.exp(tl.where(b_step > 20.0, 20.0, b_step))
        b_slope = tl.where(b_step > 20.0, 1.0, b_exp / (1.0 + b_exp))
        # Far below, the sum would lose digits of what is added to one, and the logarithm is it.
        b_soft = tl.where(b_step < -20.0, b_exp, tl.log(1.0 + b_exp))
        b_step = tl.where(b_step > 20.0, b_step, b_soft)
    # At a limit itself the slope is that of the inside, as torch has it. Comparisons, here and
    # where the steps are used, since a maximum would turn NaN into the limit.
    b_slope = tl.where(b_step < LOW, 0.0, b_slope)
    b_step = tl.where(b_step < LOW, LOW, b_step)
    if HIGH is not None:
        b_slope = tl.where(b_step > HIGH, 0.0, b_slope)
        b_step = tl.where(b_step > HIGH, HIGH, b_step)
    return i_place, mask, i_head, b_step, b_slope


@triton.jit
@no_type_check
def _steps_fwd_kernel(
    p_dt,
    p_rate,
    p_bias,
    p_slots,
    p_step,
    p_decay,
    heads,
    SOFTPLUS: tl.constexpr,
    LOW: tl.constexpr,
    HIGH: tl.constexpr,
    BT: tl.constexpr,
    HEADS: tl.constexpr,
):
    """One chunk of HEADS heads: ``p_dt``, ``p_step`` [T, heads], ``p_decay`` [T, heads, 2]."""
    start, count = load_span(p_slots, tl.program_id(0))
    i_place, mask, i_head, b_step, _ = step_of(
        p_dt, p_bias, start, count, heads, SOFTPLUS, LOW, HIGH, BT, HEADS
    )
    tl.store(p_step + i_place, b_step.to(tl.float32), mask=mask)
    b_rate = tl.load(p_rate + i_head, mask=i_head < heads, other=0.0).to(tl.float64)
    # exp(-1e3) is 0 in float64 too; the floor keeps sums finite, and their last digit small.
    b_decay = b_step * b_rate
    b_decay = tl.where(b_decay < -1e3, -1e3, b_decay)
    b_total = tl.cumsum(tl.where(mask, b_decay, 0.0), axis=0)
    b_high = b_total.to(tl.float32)
    tl.store(p_decay + 2 * i_place, b_high, mask=mask)
    tl.store(p_decay + 2 * i_place + 1, (b_total - b_high.to(tl.float64)).to(tl.float32), mask=mask)


@triton.jit
@no_type_check
def _steps_bwd_kernel(
    p_dt,
    p_rate,
    p_bias,
    p_slots,
    p_grad_step,
    p_grad_decay,
    p_grad_dt,
    p_partial,
    heads,
    SOFTPLUS: tl.constexpr,
    LOW: tl.constexpr,
    HIGH: tl.constexpr,
    BT: tl.constexpr,
    HEADS: tl.constexpr,
):
    """One chunk of HEADS heads: arrays [T, heads]; ``p_partial`` [M, 2, heads], rate and bias."""
    i_slot = tl.program_id(0)
    start, count = load_span(p_slots, i_slot)
    i_place, mask, i_head, b_step, b_slope = step_of(
        p_dt, p_bias, start, count, heads, SOFTPLUS, LOW, HIGH, BT, HEADS
    )
    m_head = i_head < heads
    b_rate = tl.load(p_rate + i_head, mask=m_head, other=0.0).to(tl.float32)
    b_step, b_slope = b_step.to(tl.float32), b_slope.to(tl.float32)
    b_decay = tl.load(p_grad_decay + i_place, mask=mask, other=0.0)
    b_grad = tl.load(p_grad_step + i_place, mask=mask, other=0.0) + b_decay * b_rate
    b_grad *= b_slope
    tl.store(p_grad_dt + i_place, b_grad.to(p_grad_dt.dtype.element_ty), mask=mask)
    b_decay = tl.where(mask, b_decay * b_step, 0.0)
    p_own = p_partial + i_slot * 2 * heads + i_head
    tl.store(p_own, tl.sum(b_decay, axis=0, keep_dims=True), mask=m_head)
    b_grad = tl.where(mask, b_grad, 0.0)
    tl.store(p_own + heads, tl.sum(b_grad, axis=0, keep_dims=True), mask=m_head)
