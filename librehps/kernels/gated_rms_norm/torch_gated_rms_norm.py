"""Gated RMS norm in torch, with the cast order of the published checkpoints."""

from __future__ import annotations

import torch.nn.functional as F

from librehps.kernels.arguments import compute_dtype
from librehps.typing import Float, Tensor

__all__ = ["gated_rms_norm_torch"]


def gated_rms_norm_torch(
    x: Float[Tensor, "... V"],
    gate: Float[Tensor, "... V"],
    weight: Float[Tensor, " V"],
    *,
    eps: float,
) -> Float[Tensor, "... V"]:
    """Compute `librehps.kernels.gated_rms_norm` with torch operators."""
    dtype = compute_dtype(x, gate, weight)
    wide = x.to(dtype)
    scale = wide.square().mean(dim=-1, keepdim=True).add(eps).rsqrt()
    # The rounding to x.dtype in the middle is part of the definition in bfloat16.
    normed = weight * (wide * scale).to(x.dtype)
    return (normed * F.silu(gate.to(dtype))).to(x.dtype)
