"""``log Phi``, with a gradient that holds as far out as its value does."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from librehps.typing import Float, Tensor

__all__ = ["log_ndtr", "mills_inverse"]

# Further out the value would be lower than the lowest number of float32.
_FURTHEST = -1e18


def log_ndtr(x: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Return the logarithm of the normal distribution function.

    torch's own gradient is the exponential of a difference of two numbers of about ``x² / 2``:
    in float32 it is off by a quarter at ``x = -7``, a ten-thousandth of what it should be at -30
    and infinite at -106, where a pair in the wrong order with small sigmas can be. Here it is the
    density over the distribution function, from Mills' ratio, which loses no digits.

    Args:
        x: Any numbers; those below -1e18 count as that, and have no gradient.
    """
    return _LogNdtr.apply(x.clamp(min=_FURTHEST))


def mills_inverse(x: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Return ``phi(x) / Phi(x)``, the slope of ``log Phi``."""
    return math.sqrt(2.0 / math.pi) / torch.special.erfcx(-x / math.sqrt(2.0))


class _LogNdtr(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.special.log_ndtr(x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return _gradient(ctx, *grad_outputs)


@once_differentiable
def _gradient(ctx: Any, grad: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return grad * mills_inverse(x)
