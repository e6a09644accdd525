"""Residual addition with the norm of the sum in torch; only the sum is kept for the gradient."""

from __future__ import annotations

from librehps.kernels.rms_norm.torch_rms_norm import rms_norm_torch
from librehps.typing import Float, Tensor

__all__ = ["add_rms_norm_torch"]


def add_rms_norm_torch(
    x: Float[Tensor, "... D"],
    residual: Float[Tensor, "... D"],
    weight: Float[Tensor, " D"],
    *,
    eps: float,
) -> tuple[Float[Tensor, "... D"], Float[Tensor, "... D"]]:
    """Compute `librehps.kernels.add_rms_norm`."""
    total = x + residual
    return rms_norm_torch(total, weight, eps=eps), total
