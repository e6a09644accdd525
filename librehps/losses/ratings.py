"""Losses for ratings of single items, such as mean opinion scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from librehps.errors import InputError
from librehps.losses.protocol import TINY_SIGMA, Scores, check_number
from librehps.registry import Registry
from librehps.typing import Float, Tensor

__all__ = ["RATING_LOSSES", "GaussianRating", "RatingLoss", "SquaredError"]


@runtime_checkable
class RatingLoss(Protocol):
    """A function of scores and ratings in the same unit."""

    def __call__(self, scores: Scores, rating: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Return the loss of each item."""
        ...


RATING_LOSSES: Registry[Callable[..., RatingLoss]] = Registry("rating loss")
"""Losses for ratings by the names that recipes use."""


@RATING_LOSSES.register("squared_error")
@dataclass(frozen=True)
class SquaredError:
    """``((mean - rating) / scale)²``.

    Args:
        scale: What counts as an error of one, in the unit of the ratings; above 0.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        check_number("scale", self.scale, low=0.0, open_low=True)

    def __call__(self, scores: Scores, rating: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Return the loss of each item; sigma is ignored."""
        return (_error(scores, rating) / self.scale).square()


@RATING_LOSSES.register("gaussian")
@dataclass(frozen=True)
class GaussianRating:
    """``(mean - rating)² / (2 sigma²) + log sigma + log(2 pi) / 2``: the likelihood of a rating.

    Its minimum over sigma is at ``|mean - rating|``: an error raises sigma. To sigma 1e-6 is added,
    as the root of a sum of squares.

    References:
        Nix and Weigend, "Estimating the mean and variance of the target probability distribution",
        1994.
    """

    def __call__(self, scores: Scores, rating: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Return the loss of each item, in nats.

        Raises:
            InputError: There is no sigma (code ``sigma_missing``), or one of another shape
                (``argument_shape``).
        """
        error = _error(scores, rating)
        if scores.sigma is None:
            raise InputError("this loss needs sigmas; use squared_error", code="sigma_missing")
        if scores.sigma.shape != error.shape:
            raise InputError(
                f"sigma has shape {list(scores.sigma.shape)}, mean {list(error.shape)}",
                code="argument_shape",
                item="sigma",
            )
        # A sigma of zero would make the loss of an exact score NaN.
        tiny = torch.full((), TINY_SIGMA, dtype=error.dtype, device=error.device)
        sigma = torch.hypot(scores.sigma.to(error.dtype), tiny)
        return 0.5 * (error / sigma).square() + sigma.log() + 0.5 * math.log(2.0 * math.pi)


def _error(scores: Scores, rating: Tensor) -> Tensor:
    if scores.mean.shape != rating.shape:
        raise InputError(
            f"rating has shape {list(rating.shape)}, mean {list(scores.mean.shape)}",
            code="argument_shape",
            item="rating",
        )
    wide = torch.promote_types(scores.mean.dtype, torch.float32)
    return scores.mean.to(wide) - rating.to(wide)
