"""Losses with a probability for a tie.

A target in [0, 1] stands for shares of three outcomes: 1 is a win of ``a``, 0.5 a tie, 0 a win of
``b``. Between them it is shared out linearly: 0.75 is half a win and half a tie.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from librehps.losses.protocol import LOSSES, Scores, check_number, difference
from librehps.typing import Float, Tensor

__all__ = ["Davidson", "RaoKupper"]


@LOSSES.register("rao_kupper")
@dataclass(frozen=True)
class RaoKupper:
    """Bradley-Terry with a threshold below which people see no difference.

    With ``eta = log theta``: ``P(a) = sigmoid(d - eta)``, ``P(b) = sigmoid(-d - eta)`` and
    ``P(tie) = 1 - P(a) - P(b) = (theta² - 1) sigmoid(d - eta) sigmoid(-d - eta)``. Published video
    reward models call it Bradley-Terry with ties (BTT) and set ``theta`` to 5.

    Args:
        theta: Width of the threshold, above 1.

    References:
        Rao and Kupper, "Ties in paired-comparison experiments", 1967.
    """

    uses_sigma: ClassVar[bool] = False

    theta: float = 5.0

    def __post_init__(self) -> None:
        check_number("theta", self.theta, low=1.0, open_low=True)

    def log_probabilities(
        self, d: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        """Return the logarithms of ``P(a)``, ``P(tie)`` and ``P(b)`` for a difference of scores."""
        eta = math.log(self.theta)
        win, loss = F.logsigmoid(d - eta), F.logsigmoid(-d - eta)
        return win, win + loss + 2.0 * eta + math.log(-math.expm1(-2.0 * eta)), loss

    def __call__(
        self, a: Scores, b: Scores, target: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Return the loss of each pair; see ``PairLoss``."""
        d, y = difference(a, b, target)
        return _cross_entropy(self.log_probabilities(d), y)


@LOSSES.register("davidson")
@dataclass(frozen=True)
class Davidson:
    """Ties in proportion to the geometric mean of the two strengths.

    ``P(a) : P(tie) : P(b) = e^(d/2) : nu : e^(-d/2)``.

    Args:
        nu: How common ties are, above 0; equal items tie with probability ``nu / (2 + nu)``.

    References:
        Davidson, "On extending the Bradley-Terry model to accommodate ties", 1970.
    """

    uses_sigma: ClassVar[bool] = False

    nu: float = 1.0

    def __post_init__(self) -> None:
        check_number("nu", self.nu, low=0.0, open_low=True)

    def log_probabilities(
        self, d: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        """Return the logarithms of ``P(a)``, ``P(tie)`` and ``P(b)`` for a difference of scores."""
        logits = torch.stack([0.5 * d, torch.full_like(d, math.log(self.nu)), -0.5 * d])
        win, tie, loss = F.log_softmax(logits, dim=0)
        return win, tie, loss

    def __call__(
        self, a: Scores, b: Scores, target: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Return the loss of each pair; see ``PairLoss``."""
        d, y = difference(a, b, target)
        return _cross_entropy(self.log_probabilities(d), y)


def _cross_entropy(log_probabilities: tuple[Tensor, Tensor, Tensor], y: Tensor) -> Tensor:
    """Share a target out among win, tie and loss, and return its cross-entropy."""
    win, tie, loss = log_probabilities
    won, lost = (2 * y - 1).clamp(min=0), (1 - 2 * y).clamp(min=0)
    return -(won * win + (1 - won - lost) * tie + lost * loss)
