"""Definition of the gated activation."""

from __future__ import annotations

import torch

from librehps.kernels.arguments import compute_dtype
from librehps.typing import Float, Tensor

__all__ = ["swiglu_reference"]


def swiglu_reference(
    gate: Float[Tensor, "... F"], up: Float[Tensor, "... F"]
) -> Float[Tensor, "... F"]:
    """Return ``gate * sigmoid(gate) * up``, computed in float32 or wider, cast once."""
    dtype = compute_dtype(gate, up)
    wide = gate.to(dtype)
    return (wide * torch.sigmoid(wide) * up.to(dtype)).to(gate.dtype)
