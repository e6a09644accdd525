"""Definition of the residual addition with the norm of the sum."""

from __future__ import annotations

from librehps.kernels.rms_norm.reference import rms_norm_reference
from librehps.typing import Float, Tensor

__all__ = ["add_rms_norm_reference"]


def add_rms_norm_reference(
    x: Float[Tensor, "... D"],
    residual: Float[Tensor, "... D"],
    weight: Float[Tensor, " D"],
    *,
    eps: float,
) -> tuple[Float[Tensor, "... D"], Float[Tensor, "... D"]]:
    """Return the normalised sum and the sum; see `librehps.kernels.add_rms_norm`."""
    total = x + residual
    return rms_norm_reference(total, weight, eps=eps), total
