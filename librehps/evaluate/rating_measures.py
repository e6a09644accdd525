"""What is measured on marks: how far the order of scores is the order of marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from librehps.calibration import Interval
from librehps.calibration.pairs import Numbers
from librehps.evaluate.measures import interval_dict
from librehps.evaluate.rank_correlation import (
    correlation_interval,
    kendall_tau,
    spearman_rho,
)
from librehps.evaluate.scored_ratings import ScoredRating

__all__ = ["RatingMeasure", "measure_ratings"]


@dataclass(frozen=True)
class RatingMeasure:
    """What was measured on one dimension that people marked, over all pictures of all prompts.

    Intervals draw whole prompts, 200 times.

    Args:
        judged_by: The axis whose scores were held against the marks.
        num_ratings: Marks.
        num_prompts: Prompts of those.
        kendall: Tau-b of scores and marks; ``None`` where either is constant.
        spearman: Rho of the same.
        pearson: Linear correlation of the same.
    """

    judged_by: str
    num_ratings: int
    num_prompts: int
    kendall: Interval | None
    spearman: Interval | None
    pearson: Interval | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        found = {
            "kendall_tau_b": self.kendall,
            "spearman_rho": self.spearman,
            "pearson_r": self.pearson,
        }
        return {
            "judged_by": self.judged_by,
            "num_ratings": self.num_ratings,
            "num_prompts": self.num_prompts,
            **{name: None if one is None else interval_dict(one) for name, one in found.items()},
        }


def measure_ratings(ratings: Sequence[ScoredRating]) -> dict[str, RatingMeasure]:
    """Measure every dimension that people marked and the scorer has a score for.

    Returns:
        By what was marked, in the order of the marks.

    Raises:
        BackendError: scipy is not installed (code ``scipy_missing``).
    """
    by_name: dict[str, list[ScoredRating]] = {}
    for one in ratings:
        if one.judged_by is not None:
            by_name.setdefault(one.marked, []).append(one)
    return {name: _measure(some) for name, some in by_name.items()}


def _measure(ratings: Sequence[ScoredRating]) -> RatingMeasure:
    axis = ratings[0].judged_by or "overall"
    scores = np.array([one.scores[axis].mean for one in ratings])
    marks = np.array([one.value for one in ratings])
    prompts = [one.prompt for one in ratings]
    kendall, spearman, pearson = (
        correlation_interval(kind, scores, marks, prompts=prompts)
        for kind in (kendall_tau, spearman_rho, _pearson)
    )
    return RatingMeasure(axis, len(ratings), len(set(prompts)), kendall, spearman, pearson)


def _pearson(first: Numbers, second: Numbers) -> float:
    if len(first) < 2 or np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])
