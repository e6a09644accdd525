"""Partial rotary embedding in triton: a head is read and written once, in each direction.

Not run on a GPU yet: checked in triton's interpreter, and compiled ahead of time (see README.md).
"""

from __future__ import annotations

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl

from librehps.kernels.arguments import compute_dtype
from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.triton_rows import launch, triton_dtype
from librehps.typing import Float, Tensor

__all__ = ["rotary_triton"]

# Heads that a program takes at a time; it goes on until it has all heads of its token.
_HEADS = 16


def rotary_triton(
    x: Float[Tensor, "T H K"], cos: Float[Tensor, "T R"], sin: Float[Tensor, "T R"]
) -> Float[Tensor, "T H K"]:
    """Compute `librehps.kernels.rotary`, rounding where torch operators would.

    Gradients are computed without roundings in the middle.
    """
    x, cos, sin = (t if t.stride(-1) == 1 else t.contiguous() for t in (x, cos, sin))
    return _Rotary.apply(x, cos, sin)


@triton.jit
@no_type_check
def load_halves(p, i_low, half, mask, WIDE: tl.constexpr):
    """Load what ``i_low`` points at and what is ``half`` further, in the dtype ``WIDE``."""
    b_low = tl.load(p + i_low, mask=mask, other=0.0).to(WIDE)
    b_high = tl.load(p + i_low + half, mask=mask, other=0.0).to(WIDE)
    return b_low, b_high


@triton.jit
@no_type_check
def copy_rest(p_from, p_to, m_head, first, width, REST: tl.constexpr):
    """Copy columns ``first`` to ``width`` of heads: ``p_from`` and ``p_to`` are [HEADS, 1]."""
    i_rest = first + tl.arange(0, REST)[None, :]
    mask = m_head & (i_rest < width)
    tl.store(p_to + i_rest, tl.load(p_from + i_rest, mask=mask), mask=mask)


@triton.jit
@no_type_check
def store_sum(p, b, mask):
    """Store the sum of ``b`` [HEADS, HALF] over heads, cast to the dtype of the memory."""
    tl.store(p, tl.sum(b, axis=0, keep_dims=True).to(p.dtype.element_ty), mask=mask)


@triton.jit
@no_type_check
def _rotary_fwd_kernel(
    p_x,
    p_cos,
    p_sin,
    p_y,
    heads,
    width,
    half,
    stride_x_token,
    stride_x_head,
    stride_cos,
    stride_sin,
    WIDE: tl.constexpr,
    TURNED: tl.constexpr,
    HEADS: tl.constexpr,
    HALF: tl.constexpr,
    REST: tl.constexpr,
):
    """Turn all heads of one token: ``p_x`` [T, heads, width] with strides, ``p_y`` without.

    ``p_cos`` and ``p_sin`` are [T, 2 half]; ``REST`` is 0 where a head has nothing that passes.
    """
    token = tl.program_id(0).to(tl.int64)
    i_low = tl.arange(0, HALF)[None, :]
    m_low = i_low < half
    p_x += token * stride_x_token
    p_y += token * heads * width
    b_cos_low, b_cos_high = load_halves(p_cos + token * stride_cos, i_low, half, m_low, WIDE)
    b_sin_low, b_sin_high = load_halves(p_sin + token * stride_sin, i_low, half, m_low, WIDE)
    for first in range(0, heads, HEADS):
        i_head = (first + tl.arange(0, HEADS)).to(tl.int64)[:, None]
        mask = (i_head < heads) & m_low
        p_own, p_out = p_x + i_head * stride_x_head, p_y + i_head * width
        b_low, b_high = load_halves(p_own, i_low, half, mask, WIDE)
        # Products and sums are rounded one by one, as the published checkpoints were trained.
        b_y = (b_low * b_cos_low).to(TURNED).to(WIDE) - (b_high * b_sin_low).to(TURNED).to(WIDE)
        tl.store(p_out + i_low, b_y.to(TURNED).to(p_y.dtype.element_ty), mask=mask)
        b_y = (b_high * b_cos_high).to(TURNED).to(WIDE) + (b_low * b_sin_high).to(TURNED).to(WIDE)
        tl.store(p_out + i_low + half, b_y.to(TURNED).to(p_y.dtype.element_ty), mask=mask)
        if REST > 0:
            copy_rest(p_own, p_out, i_head < heads, 2 * half, width, REST)


@triton.jit
@no_type_check
def _rotary_bwd_kernel(
    p_x,
    p_cos,
    p_sin,
    p_grad_y,
    p_grad_x,
    p_grad_cos,
    p_grad_sin,
    heads,
    width,
    half,
    stride_x_token,
    stride_x_head,
    stride_cos,
    stride_sin,
    stride_grad_token,
    stride_grad_head,
    WIDE: tl.constexpr,
    HEADS: tl.constexpr,
    HALF: tl.constexpr,
    REST: tl.constexpr,
    ANGLES: tl.constexpr,
):
    """Turn the gradients of one token back; with ANGLES also sum those of its angles over heads.

    ``p_grad_x`` is [T, heads, width], ``p_grad_cos`` and ``p_grad_sin`` are [T, 2 half].
    """
    token = tl.program_id(0).to(tl.int64)
    i_low = tl.arange(0, HALF)[None, :]
    m_low = i_low < half
    p_x += token * stride_x_token
    p_grad_y += token * stride_grad_token
    p_grad_x += token * heads * width
    b_cos_low, b_cos_high = load_halves(p_cos + token * stride_cos, i_low, half, m_low, WIDE)
    b_sin_low, b_sin_high = load_halves(p_sin + token * stride_sin, i_low, half, m_low, WIDE)
    if ANGLES:
        b_grad_cos_low = tl.zeros((HEADS, HALF), dtype=WIDE)
        b_grad_cos_high = tl.zeros((HEADS, HALF), dtype=WIDE)
        b_grad_sin_low = tl.zeros((HEADS, HALF), dtype=WIDE)
        b_grad_sin_high = tl.zeros((HEADS, HALF), dtype=WIDE)
    for first in range(0, heads, HEADS):
        i_head = (first + tl.arange(0, HEADS)).to(tl.int64)[:, None]
        mask = (i_head < heads) & m_low
        p_own, p_out = p_grad_y + i_head * stride_grad_head, p_grad_x + i_head * width
        b_low, b_high = load_halves(p_own, i_low, half, mask, WIDE)
        b_x = b_low * b_cos_low + b_high * b_sin_high
        tl.store(p_out + i_low, b_x.to(p_grad_x.dtype.element_ty), mask=mask)
        b_x = b_high * b_cos_high - b_low * b_sin_low
        tl.store(p_out + i_low + half, b_x.to(p_grad_x.dtype.element_ty), mask=mask)
        if REST > 0:
            copy_rest(p_own, p_out, i_head < heads, 2 * half, width, REST)
        if ANGLES:
            p_own = p_x + i_head * stride_x_head
            b_x_low, b_x_high = load_halves(p_own, i_low, half, mask, WIDE)
            b_grad_cos_low += b_low * b_x_low
            b_grad_cos_high += b_high * b_x_high
            b_grad_sin_low -= b_low * b_x_high
            b_grad_sin_high += b_high * b_x_low
    if ANGLES:
        p_grad_cos += token * 2 * half + i_low
        p_grad_sin += token * 2 * half + i_low
        store_sum(p_grad_cos, b_grad_cos_low, m_low)
        store_sum(p_grad_cos + half, b_grad_cos_high, m_low)
        store_sum(p_grad_sin, b_grad_sin_low, m_low)
        store_sum(p_grad_sin + half, b_grad_sin_high, m_low)


def _options(heads: int, width: int, turned: int) -> dict[str, int]:
    """What a launch is told of the sizes."""
    rest = width - turned
    return {
        "num_warps": 4,
        "HEADS": min(_HEADS, triton.next_power_of_2(max(1, heads))),
        "HALF": triton.next_power_of_2(max(1, turned // 2)),
        "REST": triton.next_power_of_2(rest) if rest else 0,
    }


class _Rotary(torch.autograd.Function):
    """Forward and gradient; ``x`` is kept only where the angles want a gradient."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        x, cos, sin = tensors
        ctx.angles = cos.requires_grad or sin.requires_grad
        ctx.save_for_backward(cos, sin, *((x,) if ctx.angles else ()))
        ctx.dtype = compute_dtype(x, cos, sin)
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        tokens, heads, width = x.shape
        promoted = torch.promote_types(torch.promote_types(x.dtype, cos.dtype), sin.dtype)
        launch(
            _rotary_fwd_kernel,
            (tokens,),
            *(x, cos, sin, y, heads, width, cos.shape[1] // 2),
            *(x.stride(0), x.stride(1), cos.stride(0), sin.stride(0)),
            WIDE=triton_dtype(ctx.dtype),
            TURNED=triton_dtype(promoted),
            # A fused multiply-add would leave out the rounding of a product.
            enable_fp_fusion=False,
            **_options(heads, width, cos.shape[1]),
        )
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@first_derivative_only
def _gradients(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
    cos, sin, *kept = ctx.saved_tensors
    grad_y = grad_y if grad_y.stride(-1) == 1 else grad_y.contiguous()
    x = kept[0] if ctx.angles else grad_y
    tokens, heads, width = x.shape
    grad_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    grad_cos, grad_sin = (
        torch.empty_like(angle, memory_format=torch.contiguous_format) if ctx.angles else None
        for angle in (cos, sin)
    )
    launch(
        _rotary_bwd_kernel,
        (tokens,),
        *(x, cos, sin, grad_y, grad_x, grad_cos, grad_sin, heads, width, cos.shape[1] // 2),
        *(x.stride(0), x.stride(1), cos.stride(0), sin.stride(0)),
        *(grad_y.stride(0), grad_y.stride(1)),
        WIDE=triton_dtype(ctx.dtype),
        ANGLES=ctx.angles,
        **_options(heads, width, cos.shape[1]),
    )
    return grad_x, grad_cos, grad_sin
