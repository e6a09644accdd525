"""Definition of the gated RMS norm."""

from __future__ import annotations

import torch

from librehps.kernels.arguments import compute_dtype
from librehps.typing import Float, Tensor

__all__ = ["gated_rms_norm_reference"]


def gated_rms_norm_reference(
    x: Float[Tensor, "... V"],
    gate: Float[Tensor, "... V"],
    weight: Float[Tensor, " V"],
    *,
    eps: float,
) -> Float[Tensor, "... V"]:
    """Return ``weight * x / sqrt(mean(x²) + eps) * gate * sigmoid(gate)``, cast once."""
    dtype = compute_dtype(x, gate, weight)
    wide, gate_wide = x.to(dtype), gate.to(dtype)
    scale = (wide * wide).mean(dim=-1, keepdim=True).add(eps).rsqrt()
    return (weight.to(dtype) * wide * scale * gate_wide * torch.sigmoid(gate_wide)).to(x.dtype)
