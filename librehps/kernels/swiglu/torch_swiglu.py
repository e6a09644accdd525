"""The gated activation in torch."""

from __future__ import annotations

import torch.nn.functional as F

from librehps.typing import Float, Tensor

__all__ = ["swiglu_torch"]


def swiglu_torch(
    gate: Float[Tensor, "... F"], up: Float[Tensor, "... F"]
) -> Float[Tensor, "... F"]:
    """Compute `librehps.kernels.swiglu` ; silu is rounded to the input's dtype."""
    return F.silu(gate) * up
