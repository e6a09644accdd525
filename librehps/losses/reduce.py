"""From one loss per pair to one number."""

from __future__ import annotations

import torch

from librehps.errors import InputError
from librehps.losses.protocol import check_range
from librehps.typing import Float, Tensor

__all__ = ["weighted_mean"]


def weighted_mean(
    values: Float[Tensor, "*batch"], weights: Float[Tensor, "*batch"] | None = None
) -> Float[Tensor, ""]:
    """Return ``sum(w · value) / sum(w)`` in float32 or wider.

    Dividing by the sum of the weights keeps the size of a step independent of how sure the
    annotators of this batch were. A loss of weight zero is not looked at, so that one which is no
    number does not reach the others. An empty batch, or one whose weights are all zero, gives zero
    with a gradient of zero, so a step without labels changes nothing.

    Args:
        values: Losses.
        weights: How much each counts, such as the annotators' confidence; not negative.

    Raises:
        InputError: The shapes differ (code ``argument_shape``); on a CPU, where that costs nothing,
            a weight is negative or no number (``argument_value``).
    """
    wide = values.to(torch.promote_types(values.dtype, torch.float32))
    if weights is None:
        return wide.sum() / max(wide.numel(), 1)
    if weights.shape != values.shape:
        raise InputError(
            f"weights have shape {list(weights.shape)}, values {list(values.shape)}",
            code="argument_shape",
            item="weights",
        )
    check_range("weights", weights)
    weights = weights.to(wide.dtype)
    total = weights.sum()
    heard = wide.masked_fill(weights == 0, 0.0)
    return (heard * weights).sum() / total.where(total > 0, torch.ones_like(total))
