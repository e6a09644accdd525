"""Partial rotary embedding in torch."""

from __future__ import annotations

import torch

from librehps.typing import Float, Tensor

__all__ = ["rotary_torch"]


def rotary_torch(
    x: Float[Tensor, "T H K"], cos: Float[Tensor, "T R"], sin: Float[Tensor, "T R"]
) -> Float[Tensor, "T H K"]:
    """Compute `librehps.kernels.rotary` with torch operators."""
    width = cos.shape[-1]
    half = width // 2
    cos, sin = cos[:, None, :], sin[:, None, :]
    low, high = x[..., :half], x[..., half:width]
    # Mixed dtypes promote: bfloat16 x with float32 angles computes in float32 (vision tower).
    turned_low = low * cos[..., :half] - high * sin[..., :half]
    turned_high = high * cos[..., half:] + low * sin[..., half:]
    parts = [turned_low.to(x.dtype), turned_high.to(x.dtype)]
    if width < x.shape[-1]:
        parts.append(x[..., width:])
    return torch.cat(parts, dim=-1)
