"""Annotators whose habits are known, so that the probability of every vote is known too.

An annotator looks at two pictures whose qualities differ by ``d``. Now and then they do not look
and vote at random; more often the more there is to look at. Otherwise the vote is logistic::

    P(a) = lapse / 2 + (1 - lapse) sigmoid(reliability d)

The annotator of a vote is drawn from a panel, so the probability of a vote for ``a`` is the mean
over the panel. It is exact, and so is the distribution of a number of votes: binomial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from librehps.errors import ConfigError

__all__ = ["PANEL", "Annotator", "majority_probability", "vote_probability"]

# What each object beyond the first adds to the chance that an annotator does not look.
_LAPSE_PER_OBJECT = 0.04


@dataclass(frozen=True)
class Annotator:
    """One annotator.

    Args:
        reliability: Log-odds per unit of quality, not negative.
        lapse: Share of votes that are cast at random where there is one object, in [0, 1].

    Raises:
        ConfigError: A number out of range (code ``annotator_value``).
    """

    reliability: float
    lapse: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.reliability < math.inf and 0.0 <= self.lapse <= 1.0):
            raise ConfigError(
                f"an annotator's reliability is at least 0 and the lapse in [0, 1]: {self}",
                code="annotator_value",
            )

    def probability(self, difference: float, *, num_objects: int = 1) -> float:
        """Return the probability of a vote for ``a``, whose quality is ``difference`` higher."""
        lapse = min(1.0, self.lapse + _LAPSE_PER_OBJECT * (num_objects - 1))
        sigmoid = 0.5 * (1.0 + math.tanh(0.5 * self.reliability * difference))
        return 0.5 * lapse + (1.0 - lapse) * sigmoid


PANEL = (
    Annotator(reliability=1.6, lapse=0.01),
    Annotator(reliability=1.2, lapse=0.02),
    Annotator(reliability=1.0, lapse=0.04),
    Annotator(reliability=0.7, lapse=0.08),
)
"""Four kinds of annotators, each as frequent as the others; from careful to careless."""


def vote_probability(
    difference: float, *, num_objects: int = 1, panel: Sequence[Annotator] = PANEL
) -> float:
    """Return the probability that a vote of someone on the panel is for ``a``.

    Args:
        difference: Quality of ``a`` less that of ``b``.
        num_objects: How much there is to look at.
        panel: The annotators, each as likely as the others.
    """
    votes = [one.probability(difference, num_objects=num_objects) for one in panel]
    return math.fsum(votes) / len(votes)


def majority_probability(probability: float, votes: int) -> tuple[float, float]:
    """Return how likely the majority of some votes is for ``a``, and how likely there is none.

    Args:
        probability: Of a single vote for ``a``.
        votes: How many votes are cast, at least 1.
    """
    counts = np.arange(votes + 1)
    ways = np.array([math.comb(votes, int(k)) for k in counts], dtype=np.float64)
    masses = ways * probability**counts * (1.0 - probability) ** (votes - counts)
    return float(masses[2 * counts > votes].sum()), float(masses[2 * counts == votes].sum())
