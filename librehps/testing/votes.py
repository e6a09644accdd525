"""Scores and votes whose law is known, to see whether what was fitted to them is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from librehps.calibration.pairs import Numbers, ScorePairs

__all__ = ["Law", "simulate_pairs"]

#: From differences and spreads, each ``[N]``, to the probability of a vote for ``a``, ``[N]``.
Law: TypeAlias = Callable[[Numbers, Numbers], Numbers]


def simulate_pairs(law: Law, count: int, *, seed: int, votes: int = 1) -> ScorePairs:
    """Draw scores, and votes for them by a law.

    The means have a standard deviation of 1.5 log-odds, and sigmas lie between 0.3 and 1.5.

    Args:
        law: Probability of a vote for ``a``, from the difference of the means and its spread.
        count: Pairs to draw.
        seed: Of the draws.
        votes: Votes for each pair.
    """
    rng = np.random.default_rng(seed)
    means = rng.normal(0.0, 1.5, (2, count))
    sigmas = rng.uniform(0.3, 1.5, (2, count))
    chance = law(means[0] - means[1], np.hypot(sigmas[0], sigmas[1]))
    target = rng.binomial(votes, chance) / votes
    return ScorePairs.of(means[0], means[1], target, sigma_a=sigmas[0], sigma_b=sigmas[1])
