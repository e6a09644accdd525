"""How often intervals of accuracies and of the Brier score hold the truth, by every tie rule."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from librehps.calibration import Interval, bootstrap_mean
from librehps.calibration.pairs import Numbers
from librehps.evaluate.judged import JudgedPairs
from librehps.evaluate.tie_rules import TIE_RULES, TieRule, make_tie_rule
from librehps.testing.prompts import simulate_judged

__all__ = ["BRIER", "cover_means", "true_means"]

#: The name of the Brier score among the tie rules.
BRIER = "brier"

# Far from the seeds of the repetitions, and so many prompts that what they give is the truth.
_SETTLING_SEED, _SETTLING_PROMPTS = 10_000_000, 300
_TRUTH_SEED, _TRUTH_PROMPTS = 20_000_000, 200_000
_BOOTSTRAP_SEED = 30_000_000


def cover_means(
    *,
    num_prompts: int,
    repetitions: int,
    clustered: bool = True,
    resamples: int = 1000,
    first_seed: int = 0,
) -> dict[str, NDArray[np.bool_]]:
    """Return whether each interval holds the truth, by tie rule and for the Brier score.

    Args:
        num_prompts: Prompts of each repetition.
        repetitions: How often pairs are drawn and intervals are made.
        clustered: Whether whole prompts are drawn; single pairs otherwise.
        resamples: Of the bootstrap.
        first_seed: Of the first repetition; each other one has the next.

    Returns:
        For each name, ``[repetitions]``.
    """
    truth = true_means()
    hits = {name: np.zeros(repetitions, np.bool_) for name in truth}
    for repetition in range(repetitions):
        seed = first_seed + repetition
        pairs = simulate_judged(num_prompts, seed=seed)
        known: dict[bytes, Interval] = {}
        for name, (values, weight) in _columns(pairs).items():
            # Rules that give every pair the same credit have the same interval.
            key = values.tobytes() + weight.tobytes()
            if key not in known:
                known[key] = bootstrap_mean(
                    values,
                    weight=weight,
                    clusters=pairs.prompt if clustered else None,
                    resamples=resamples,
                    seed=_BOOTSTRAP_SEED + seed,
                )
            found = known[key]
            hits[name][repetition] = found.low <= truth[name] <= found.high
    return hits


@lru_cache(maxsize=1)
def true_means() -> dict[str, float]:
    """Return what infinitely many prompts would give, by name, from 200,000 of them.

    Thresholds are those that 300 other prompts have chosen; an interval is of the accuracy at its
    threshold.
    """
    pairs = simulate_judged(_TRUTH_PROMPTS, seed=_TRUTH_SEED)
    return {
        name: float(np.average(values, weights=weight))
        for name, (values, weight) in _columns(pairs).items()
    }


def _columns(pairs: JudgedPairs) -> dict[str, tuple[Numbers, Numbers]]:
    """Return values and weights of the means, by name."""
    credits = {name: rule.credit(pairs) for name, rule in _rules().items()}
    brier = np.square(pairs.probability - pairs.target)
    return {name: (one.value, one.weight) for name, one in credits.items()} | {
        BRIER: (brier, np.ones(len(pairs)))
    }


@lru_cache(maxsize=1)
def _rules() -> dict[str, TieRule]:
    settling = simulate_judged(_SETTLING_PROMPTS, seed=_SETTLING_SEED)
    return {name: make_tie_rule(name).settled(settling) for name in TIE_RULES}
