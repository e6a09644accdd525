"""What is measured on rankings: accuracy as its origin defines it, and rank correlations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from librehps.calibration import Interval, bootstrap_mean
from librehps.calibration.pairs import Column
from librehps.errors import InputError
from librehps.evaluate.measures import interval_dict, judge_pairs
from librehps.evaluate.rank_correlation import kendall_tau, spearman_rho
from librehps.evaluate.scored_rankings import ScoredRanking
from librehps.evaluate.tie_rules import TieRule

__all__ = ["RankingMeasure", "measure_rankings"]


@dataclass(frozen=True)
class RankingMeasure:
    """What was measured on rankings of an axis, none of which anything was fitted to.

    Intervals draw whole prompts.

    Args:
        num_rankings: Rankings of which every picture has a score.
        num_prompts: Prompts of those; fewer where a prompt was ranked more than once.
        num_images: Places in them.
        num_pairs: Pairs in them.
        tie_rule: The rule of the accuracy, with what it chose.
        accuracy: Over the pairs of the rankings under that rule; where the rule takes the mean over
            prompts, every ranking is one. ``None`` where no pair counts.
        kendall: Mean over the rankings of tau-b of scores and ranks; ``None`` where it is defined
            for none: all ranks, or all scores, are equal.
        spearman: The same of rho.
        num_correlated: Rankings for which the two are defined.
    """

    num_rankings: int
    num_prompts: int
    num_images: int
    num_pairs: int
    tie_rule: TieRule
    accuracy: Interval | None
    kendall: Interval | None
    spearman: Interval | None
    num_correlated: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        means = {
            "accuracy": self.accuracy,
            "kendall_tau_b_per_prompt": self.kendall,
            "spearman_rho_per_prompt": self.spearman,
        }
        return {
            "num_rankings": self.num_rankings,
            "num_prompts": self.num_prompts,
            "num_images": self.num_images,
            "num_pairs": self.num_pairs,
            "num_correlated": self.num_correlated,
            "tie_rule": {"name": self.tie_rule.name, "definition": self.tie_rule.definition},
            **{name: None if one is None else interval_dict(one) for name, one in means.items()},
        }


def measure_rankings(
    rankings: Sequence[ScoredRanking], *, tie_rule: TieRule, axis: str = "overall"
) -> RankingMeasure:
    """Measure rankings that nothing was fitted to.

    Args:
        rankings: At least one; every picture has a score on the axis.
        tie_rule: Of the accuracy, with what it has to choose chosen.
        axis: Whose scores.

    Raises:
        InputError: There is no ranking (code ``metric_shape``).
        BackendError: scipy is not installed (code ``scipy_missing``).

    References:
        With the rule ``hpsv2`` the accuracy is the mean of ``inversion_score`` over prompts in
        ``evaluate_rank`` of HPSv2; with ``imagereward`` it is ``acc`` in ``test.py`` of
        ImageReward; with ``hpsv2_imagereward`` that of ``evaluate_IR`` in HPSv2.
    """
    if not rankings:
        raise InputError("there is no ranking", code="metric_shape")
    by_ranking = [one.pairs() for one in rankings]
    pairs = [pair for some in by_ranking for pair in some]
    # A rule that takes the mean over prompts shall take it over rankings, as its origin does where
    # a prompt stands in two rows; intervals draw both together.
    number = np.repeat(np.arange(len(by_ranking)), [len(some) for some in by_ranking])
    credit = tie_rule.credit(replace(judge_pairs(pairs, axis), prompt=number))
    correlated = [_correlations(one, axis) for one in rankings]
    known = [place for place, (tau, _) in enumerate(correlated) if not math.isnan(tau)]
    prompts = [rankings[place].prompt for place in known]
    return RankingMeasure(
        num_rankings=len(rankings),
        num_prompts=len({one.prompt for one in rankings}),
        num_images=sum(len(one.images) for one in rankings),
        num_pairs=len(pairs),
        tie_rule=tie_rule,
        accuracy=_mean(credit.value, [pair.prompt for pair in pairs], credit.weight),
        kendall=_mean([correlated[place][0] for place in known], prompts),
        spearman=_mean([correlated[place][1] for place in known], prompts),
        num_correlated=len(known),
    )


def _correlations(ranking: ScoredRanking, axis: str) -> tuple[float, float]:
    """Return tau-b and rho of a ranking; both are NaN where scores or ranks are all equal."""
    scores = [one[axis].mean for one in ranking.scores]
    good = [-rank for rank in ranking.ranks]
    return kendall_tau(scores, good), spearman_rho(scores, good)


def _mean(values: Column, prompts: Sequence[str], weight: Column | None = None) -> Interval | None:
    """Return a weighted mean with its interval over prompts; from one prompt there are no ends."""
    if not len(values) or (weight is not None and not np.any(weight)):
        return None
    try:
        return bootstrap_mean(values, weight=weight, clusters=prompts)
    except InputError as error:
        if error.code != "bootstrap_clusters":
            raise
    mean = float(np.average(values, weights=weight))
    return Interval(mean, math.nan, math.nan, len(values), len(set(prompts)))
