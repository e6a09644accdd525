"""Losses for several items of one prompt: rankings, and votes spread over a list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch.nn import functional as F

from librehps.errors import InputError
from librehps.losses.protocol import check_number, check_range
from librehps.registry import Registry
from librehps.typing import Float, Tensor

__all__ = ["RANKING_LOSSES", "ListSoftmax", "PlackettLuce", "RankingLoss"]


@runtime_checkable
class RankingLoss(Protocol):
    """A function of the scores of lists of items, and of what people said about them."""

    def __call__(
        self, mean: Float[Tensor, "*batch L"], labels: Float[Tensor, "*batch L"]
    ) -> Float[Tensor, "*batch"]:
        """Return the loss of each list, in nats; shorter lists are filled up with NaN labels."""
        ...


RANKING_LOSSES: Registry[Callable[..., RankingLoss]] = Registry("ranking loss")
"""Losses for lists by the names that recipes use."""


@RANKING_LOSSES.register("plackett_luce")
@dataclass(frozen=True)
class PlackettLuce:
    """The best is chosen among all, the next among the rest, and so on.

    ``sum over i of log(sum of e^mean_j over the j that rank no better than i) - mean_i``. Items of
    equal rank are each chosen from the set that holds them all (Breslow's form), so a tie of two
    costs what Bradley-Terry asks for both orders together. Two items give Bradley-Terry.

    References:
        Plackett, "The analysis of permutations", 1975; Luce, "Individual choice behavior", 1959;
        Breslow, "Covariance analysis of censored survival data", 1974, for ties.
    """

    def __call__(
        self, mean: Float[Tensor, "*batch L"], labels: Float[Tensor, "*batch L"]
    ) -> Float[Tensor, "*batch"]:
        """Return the loss of each list.

        Args:
            mean: Scores of the items, in log-odds.
            labels: Their ranks, the smallest the best; NaN where there is no item.

        Raises:
            InputError: The shapes differ (code ``argument_shape``).
        """
        scores, present = _listed(mean, labels)
        # [.., i, j]: j is still there when i is chosen.
        left = (labels[..., None, :] >= labels[..., :, None]) & present[..., None, :]
        # A place without an item chooses itself from itself: no cost, and no row without choice.
        left = left | torch.eye(labels.shape[-1], dtype=torch.bool, device=labels.device)
        among = scores[..., None, :].masked_fill(~left, float("-inf")).logsumexp(dim=-1)
        return ((among - scores) * present).sum(dim=-1)


@RANKING_LOSSES.register("softmax")
@dataclass(frozen=True)
class ListSoftmax:
    """Cross-entropy of the shares of votes under a softmax over the scaled scores of a list.

    A list on which nobody voted costs nothing.

    Args:
        scale: Factor on the scores, above 0; 100 for cosines of CLIP models.

    References:
        Wu et al., "Human Preference Score v2", arXiv 2306.09341.
    """

    scale: float = 100.0

    def __post_init__(self) -> None:
        check_number("scale", self.scale, low=0.0, open_low=True)

    def __call__(
        self, mean: Float[Tensor, "*batch L"], labels: Float[Tensor, "*batch L"]
    ) -> Float[Tensor, "*batch"]:
        """Return the loss of each list.

        Args:
            mean: Scores of the items.
            labels: Votes for each, not negative; NaN where there is no item.

        Raises:
            InputError: The shapes differ (code ``argument_shape``).
        """
        scores, present = _listed(mean, labels)
        votes = labels.to(scores.dtype).masked_fill(~present, 0.0)
        share = votes / votes.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(votes.dtype).tiny)
        check_range("labels", votes)
        # Large numbers and not infinity: 0 · inf would be NaN where no vote is missed.
        largest = torch.finfo(scores.dtype).max / 8
        logits = self.scale * scores
        logits = torch.where(scores.isfinite(), logits.clamp(min=-largest, max=largest), logits)
        logits = logits.masked_fill(~present, -2.0 * largest)
        return -(share * F.log_softmax(logits, dim=-1)).sum(dim=-1)


def _listed(mean: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return scores in float32 or wider, zero where there is no item, and where there is one."""
    if mean.shape != labels.shape or mean.dim() == 0:
        raise InputError(
            f"labels have shape {list(labels.shape)}, mean {list(mean.shape)}: "
            "a ranking loss takes one label for each item of a list",
            code="argument_shape",
            item="labels",
        )
    present = ~labels.isnan()
    wide = mean.to(torch.promote_types(mean.dtype, torch.float32))
    return wide.masked_fill(~present, 0.0), present
