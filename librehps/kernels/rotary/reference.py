"""Definition of the partial rotary embedding."""

from __future__ import annotations

import torch

from librehps.kernels.arguments import compute_dtype
from librehps.typing import Float, Tensor

__all__ = ["rotary_reference"]


def rotary_reference(
    x: Float[Tensor, "T H K"], cos: Float[Tensor, "T R"], sin: Float[Tensor, "T R"]
) -> Float[Tensor, "T H K"]:
    """Turn each pair ``(x_j, x_{j + R/2})``, ``j < R/2``, by its angle; the rest passes through."""
    dtype = compute_dtype(x, cos, sin)
    half = cos.shape[-1] // 2
    wide, cos, sin = x.to(dtype), cos.to(dtype), sin.to(dtype)
    columns: list[Tensor] = []
    for dim in range(x.shape[-1]):
        if dim < half:
            turned = (
                wide[:, :, dim] * cos[:, dim, None] - wide[:, :, dim + half] * sin[:, dim, None]
            )
        elif dim < 2 * half:
            turned = (
                wide[:, :, dim] * cos[:, dim, None] + wide[:, :, dim - half] * sin[:, dim, None]
            )
        else:
            turned = wide[:, :, dim]
        columns.append(turned)
    return torch.stack(columns, dim=-1).to(x.dtype)
