"""Losses of Bradley and Terry's kind: the logistic function of a difference of scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch.nn import functional as F

from librehps.losses.protocol import LOSSES, Scores, bounded, check_number, difference
from librehps.typing import Float, Tensor

__all__ = ["BradleyTerry", "ConstantMargin", "LikelihoodDisplacement", "SoftmaxCrossEntropy"]


@LOSSES.register("bradley_terry")
@dataclass(frozen=True)
class BradleyTerry:
    """``-y log sigmoid(d) - (1 - y) log sigmoid(-d)`` with ``d = mean_a - mean_b``.

    Sigmas are ignored. Without noise in the labels its minimum is at an infinite difference; equal
    scores cost ``log 2``.

    References:
        Bradley and Terry, "Rank analysis of incomplete block designs", 1952.
    """

    uses_sigma: ClassVar[bool] = False

    def __call__(
        self, a: Scores, b: Scores, target: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Return the loss of each pair; see ``PairLoss``."""
        d, y = difference(a, b, target)
        return y * F.softplus(-d) + (1 - y) * F.softplus(d)


@LOSSES.register("constant_margin")
@dataclass(frozen=True)
class ConstantMargin:
    """Bradley-Terry where the preferred item must lead by a margin.

    ``-y log sigmoid(d - m) - (1 - y) log sigmoid(-d - m)``: a target of 0.5 asks for both, and is
    best met by equal scores.

    Args:
        margin: The lead ``m`` that is asked for, in log-odds, not negative. 0.57 is what published
            video reward models use.

    References:
        Touvron et al., "Llama 2", arXiv 2307.09288, equation 2 (margin by strength of preference).
    """

    uses_sigma: ClassVar[bool] = False

    margin: float = 0.57

    def __post_init__(self) -> None:
        check_number("margin", self.margin, low=0.0)

    def __call__(
        self, a: Scores, b: Scores, target: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Return the loss of each pair; see ``PairLoss``."""
        d, y = difference(a, b, target)
        return y * F.softplus(self.margin - d) + (1 - y) * F.softplus(self.margin + d)


@LOSSES.register("likelihood_displacement")
@dataclass(frozen=True)
class LikelihoodDisplacement:
    """Bradley-Terry where the score of the item that lost counts ``tau`` times.

    ``-y log sigmoid(mean_a - tau mean_b) - (1 - y) log sigmoid(mean_b - tau mean_a)``. With
    ``tau < 1`` it pays to raise the winner rather than to sink the loser. Unlike the other losses
    it depends on where zero lies, so the scores lose their freedom to shift.

    Args:
        tau: Weight of the loser's score, above 0; 1 gives Bradley-Terry.
    """

    uses_sigma: ClassVar[bool] = False

    tau: float = 0.5

    def __post_init__(self) -> None:
        check_number("tau", self.tau, low=0.0, open_low=True)

    def __call__(
        self, a: Scores, b: Scores, target: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Return the loss of each pair; see ``PairLoss``."""
        d, y = difference(a, b, target)
        # mean_a - tau mean_b = d + (1 - tau) mean_b: the difference is formed in one place.
        a_wins = bounded(-d - (1 - self.tau) * b.mean.to(d.dtype), d.isfinite())
        b_wins = bounded(d - (1 - self.tau) * a.mean.to(d.dtype), d.isfinite())
        return y * F.softplus(a_wins) + (1 - y) * F.softplus(b_wins)


@LOSSES.register("softmax_cross_entropy")
@dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """Cross-entropy of the votes under a softmax over the two scaled scores: HPS v2's loss.

    ``-y log p - (1 - y) log(1 - p)`` with ``p = softmax(scale · [mean_a, mean_b])[0]``; the scores
    are cosines there and the scale is CLIP's, 100. For two items a softmax is the logistic
    function of the difference, so this is Bradley-Terry on scaled scores.

    Args:
        scale: Factor on the scores, above 0.

    References:
        Wu et al., "Human Preference Score v2", arXiv 2306.09341, equations 1 and 2.
    """

    uses_sigma: ClassVar[bool] = False

    scale: float = 100.0

    def __post_init__(self) -> None:
        check_number("scale", self.scale, low=0.0, open_low=True)

    def __call__(
        self, a: Scores, b: Scores, target: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Return the loss of each pair; see ``PairLoss``."""
        d, y = difference(a, b, target)
        d = bounded(self.scale * d, d.isfinite())
        return y * F.softplus(-d) + (1 - y) * F.softplus(d)
