"""Definition of the zero-centred RMS norm."""

from __future__ import annotations

from librehps.kernels.arguments import compute_dtype
from librehps.typing import Float, Tensor

__all__ = ["rms_norm_reference"]


def rms_norm_reference(
    x: Float[Tensor, "... D"], weight: Float[Tensor, " D"], *, eps: float
) -> Float[Tensor, "... D"]:
    """Return ``x / sqrt(mean(x²) + eps) * (1 + weight)``; see `librehps.kernels.rms_norm`."""
    dtype = compute_dtype(x, weight)
    wide = x.to(dtype)
    scale = (wide * wide).mean(dim=-1, keepdim=True).add(eps).rsqrt()
    return (wide * scale * (1 + weight.to(dtype))).to(x.dtype)
