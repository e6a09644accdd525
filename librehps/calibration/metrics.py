"""How good stated probabilities are: Brier score, likelihood, and how well sigma finds mistakes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from librehps.calibration.pairs import Column, Numbers, ScorePairs, column
from librehps.errors import InputError

__all__ = [
    "Forecasts",
    "area_under_roc",
    "brier_score",
    "negative_log_likelihood",
    "sigma_auroc",
]


@dataclass(frozen=True, eq=False)
class Forecasts:
    """Stated probabilities beside what came true; ``N`` pairs.

    Args:
        probability: That the first of each pair is preferred, in [0, 1], ``[N]``.
        target: Share of the votes for it, or its true probability, in [0, 1], ``[N]``.
        share: Share of each pair in the whole; adds up to 1, ``[N]``.
    """

    probability: Numbers
    target: Numbers
    share: Numbers

    @classmethod
    def of(cls, probability: Column, target: Column, weight: Column | None = None) -> Forecasts:
        """Check and build.

        Raises:
            InputError: Columns that differ in length or are empty (code ``metric_shape``), a number
                outside [0, 1] (``probability_range``), a weight that is negative, not finite, or
                none above zero (``metric_weight``).
        """
        stated, true = column(probability), column(target)
        weights = np.ones(len(stated)) if weight is None else column(weight)
        if not 0 < len(stated) == len(true) == len(weights):
            raise InputError(
                f"there are {len(stated)} probabilities, {len(true)} targets and {len(weights)} "
                "weights; there must be as many of each, and at least one",
                code="metric_shape",
            )
        for name, values in {"probability": stated, "target": true}.items():
            good = (values >= 0.0) & (values <= 1.0)
            if not good.all():
                row = int(np.argmin(good))
                raise InputError(
                    f"{values[row]} is not in [0, 1]",
                    code="probability_range",
                    item=f"{name}[{row}]",
                )
        total = float(weights.sum())
        if not (weights >= 0.0).all() or not 0.0 < total < math.inf:
            raise InputError(
                "weights must be finite and not negative, and one above 0", code="metric_weight"
            )
        return cls(stated, true, weights / total)


def brier_score(probability: Column, target: Column, *, weight: Column | None = None) -> float:
    """Return the mean of ``(p - y)²``: 0 is perfect, 0.25 is a coin's. Shares of votes are allowed.

    Args:
        probability: That the first of each pair is preferred, ``[N]``.
        target: Share of the votes for it, ``[N]``.
        weight: How much each pair counts, ``[N]``.

    Raises:
        InputError: See :meth:`Forecasts.of`.

    References:
        Brier, "Verification of forecasts expressed in terms of probability", 1950, halved: he adds
        up both sides, which are equal here.
    """
    given = Forecasts.of(probability, target, weight)
    return float(given.share @ np.square(given.probability - given.target))


def negative_log_likelihood(
    probability: Column, target: Column, *, weight: Column | None = None
) -> float:
    """Return the mean of ``-y log p - (1 - y) log(1 - p)`` in nats; a coin's is ``log 2``.

    Infinite where something that was called impossible got a vote.

    Args:
        probability: That the first of each pair is preferred, ``[N]``.
        target: Share of the votes for it, ``[N]``.
        weight: How much each pair counts, ``[N]``.

    Raises:
        InputError: See :meth:`Forecasts.of`.
    """
    given = Forecasts.of(probability, target, weight)
    stated, true = given.probability, given.target
    with np.errstate(divide="ignore"):
        won, lost = np.log(stated), np.log1p(-stated)
    # 0 log 0 is 0: a side without votes costs nothing, whatever was said of it.
    cost = np.where(true > 0.0, -true * np.where(true > 0.0, won, 0.0), 0.0)
    cost += np.where(true < 1.0, -(1.0 - true) * np.where(true < 1.0, lost, 0.0), 0.0)
    counted = given.share > 0.0
    return float(given.share[counted] @ cost[counted])


def area_under_roc(score: Column, positive: Column, *, weight: Column | None = None) -> float:
    """Return how often a positive outranks a negative; equal ones count half.

    Args:
        score: What ranks, finite, ``[N]``.
        positive: True or 1 for a positive, false or 0 for a negative, ``[N]``.
        weight: How much each row counts, ``[N]``.

    Returns:
        0.5 for no better than chance, 1 for a perfect ranking; NaN without a positive or without a
        negative, as there is nothing to compare.

    Raises:
        InputError: See :meth:`Forecasts.of`; a ``positive`` that is neither 0 nor 1 (code
            ``probability_range``), or a score that is not a number (``metric_score``).

    References:
        Hanley and McNeil, "The meaning and use of the area under a receiver operating
        characteristic (ROC) curve", 1982.
    """
    ranks = column(score)
    given = Forecasts.of(np.zeros(len(ranks)), positive, weight)
    if np.isnan(ranks).any():
        raise InputError("a score is NaN, which ranks nowhere", code="metric_score")
    hit = given.target == 1.0
    if not (hit | (given.target == 0.0)).all():
        raise InputError("positive must be true or false, or 1 or 0", code="probability_range")
    _, places = np.unique(ranks, return_inverse=True)
    hits = np.bincount(places, weights=given.share * hit)
    others = np.bincount(places, weights=given.share * ~hit)
    possible = hits.sum() * others.sum()
    if possible == 0.0:
        return math.nan
    outranked = others.cumsum() - others / 2.0
    return float(hits @ outranked / possible)


def sigma_auroc(pairs: ScorePairs) -> float:
    """Return how well sigma tells which pairs the scores get wrong.

    The area under the curve of the spread as a predictor that the higher score lost the majority.
    Pairs that tie, in votes or in scores, are left out: they are neither right nor wrong.

    Returns:
        0.5 where sigma knows nothing; NaN where no pair is wrong, or none is right.

    Raises:
        InputError: There are no sigmas (code ``calibration_sigma_missing``), or no pair is left
            (``metric_shape``).
    """
    if pairs.spread is None:
        raise InputError("these scores have no sigma", code="calibration_sigma_missing")
    folded = pairs.take((pairs.target != 0.5) & (pairs.difference != 0.0)).folded()
    assert folded.spread is not None
    return area_under_roc(folded.spread, folded.target < 0.5, weight=folded.weight)
