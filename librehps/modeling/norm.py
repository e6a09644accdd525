"""The norm of the text model."""

from __future__ import annotations

import torch
from torch import nn

from librehps.kernels.add_rms_norm import add_rms_norm
from librehps.kernels.rms_norm import rms_norm
from librehps.typing import Float, Tensor


class ZeroCentredRMSNorm(nn.Module):
    """``x / sqrt(mean(x²) + eps) · (1 + weight)``, over the last dimension.

    A weight of zero leaves the scale alone, so that weight decay pulls towards the identity.

    Args:
        dim: Width that is normalised.
        eps: Added to the mean square.
        kernel_impl: Implementation of the op.
    """

    def __init__(self, dim: int, *, eps: float, kernel_impl: str) -> None:
        super().__init__()
        self.eps = eps
        self.kernel_impl = kernel_impl
        self.weight = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Float[Tensor, "*leading D"]) -> Float[Tensor, "*leading D"]:
        """Normalise; computes in float32, returns ``x.dtype``."""
        return rms_norm(x, self.weight, eps=self.eps, impl=self.kernel_impl)

    def of_sum(
        self, x: Float[Tensor, "*leading D"], residual: Float[Tensor, "*leading D"]
    ) -> tuple[Float[Tensor, "*leading D"], Float[Tensor, "*leading D"]]:
        """Add ``x`` to the residual stream; return the normalised sum, and the sum."""
        return add_rms_norm(x, residual, self.weight, eps=self.eps, impl=self.kernel_impl)
