"""``log Phi``, with derivatives that hold as far out as its value does."""

from __future__ import annotations

import math
from typing import Any

import torch

from librehps.typing import Float, Tensor

__all__ = ["FURTHEST", "log_ndtr", "mills_inverse"]

FURTHEST = 1e18
"""Further below zero the value would be lower than the lowest number of float32."""
# Where the series of the second derivative takes over from the difference, which loses digits.
_SERIES = {torch.float32: -12.0, torch.float64: -100.0}
# Above, the slope of log Phi and all that follows from it are zero in float64.
_NO_SLOPE = 50.0


def log_ndtr(x: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Return the logarithm of the normal distribution function.

    torch's own gradient is the exponential of a difference of two numbers of about ``x² / 2``:
    in float32 it is off by a quarter at ``x = -7``, a ten-thousandth of what it should be at -30
    and infinite at -106, where a pair in the wrong order with small sigmas can be. Here it is the
    density over the distribution function, from Mills' ratio, which loses no digits; so is the
    second derivative.

    Args:
        x: Any numbers, float32 or float64; those below -1e18 count as that, and have no gradient.
    """
    return _LogNdtr.apply(x.clamp(min=-FURTHEST))


def mills_inverse(x: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Return ``phi(x) / Phi(x)``, the slope of ``log Phi``."""
    return _MillsInverse.apply(x)


class _Elementwise(torch.autograd.Function):
    """Keeps what it was given, for both directions of differentiation."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)


class _LogNdtr(_Elementwise):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.special.log_ndtr(x)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], *args: Tensor) -> tuple[Tensor, int | None]:
        return _LogNdtr.apply(*args), in_dims[0]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad_outputs[0] * mills_inverse(x)

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad_inputs[0] * mills_inverse(x)


class _MillsInverse(_Elementwise):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return math.sqrt(2.0 / math.pi) / torch.special.erfcx(-x / math.sqrt(2.0))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], *args: Tensor) -> tuple[Tensor, int | None]:
        return _MillsInverse.apply(*args), in_dims[0]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return -grad_outputs[0] * _curvature(x)

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return -grad_inputs[0] * _curvature(x)


def _curvature(x: Tensor) -> Tensor:
    """Return ``h (x + h)`` with ``h`` the slope of ``log Phi``: minus its second derivative.

    Far out ``h`` is ``-x`` and little more, and the sum has no digits left; there it is the series
    in ``1 / x²`` that follows from that of Mills' ratio.
    """
    start = _SERIES.get(x.dtype, _SERIES[torch.float32])
    near = x.clamp(min=start, max=_NO_SLOPE)
    slope = mills_inverse(near)
    inverse = x.clamp(max=start).square().reciprocal()
    series = 1.0 - inverse * (1.0 - inverse * (6.0 - 50.0 * inverse))
    return torch.where(x < start, series, slope * (near + slope))
