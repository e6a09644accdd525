"""What is measured on one axis of one benchmark, before and after calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from librehps.calibration import (
    FittedCalibrator,
    Interval,
    ReliabilityDiagram,
    bootstrap_mean,
    brier_score,
    calibration_error_interval,
    negative_log_likelihood,
    preference_probability,
    reliability_diagram,
)
from librehps.calibration.pairs import Column, Numbers
from librehps.errors import InputError
from librehps.evaluate.judged import JudgedPairs
from librehps.evaluate.rank_correlation import (
    correlation_interval,
    kendall_tau,
    spearman_rho,
)
from librehps.evaluate.scored import ScoredPair, score_pairs
from librehps.evaluate.tie_rules import TieRule, Unsettled

__all__ = [
    "UNCALIBRATED",
    "AxisMeasure",
    "ForecastMeasure",
    "judge_pairs",
    "mean_with_interval",
    "measure_axis",
    "measure_forecasts",
]

#: The name of what the scores state by themselves.
UNCALIBRATED = "uncalibrated"


@dataclass(frozen=True)
class ForecastMeasure:
    """How good stated probabilities are.

    Args:
        brier: Brier score, with its interval over prompts.
        negative_log_likelihood: In nats; infinite where the impossible got a vote.
        reliability: Of the probability of the winner, in 15 bins of equal width: what it would be
            for the first picture if every pair were counted in both orders.
        corrected: The calibration error of that less what chance adds to it, with its interval over
            prompts.
    """

    brier: Interval
    negative_log_likelihood: float
    reliability: ReliabilityDiagram
    corrected: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data; an infinite likelihood is ``None``."""
        nats = self.negative_log_likelihood
        return {
            "brier": interval_dict(self.brier),
            "negative_log_likelihood": nats if math.isfinite(nats) else None,
            "reliability": self.reliability.to_dict(),
            "calibration_error_less_chance": interval_dict(self.corrected),
        }


@dataclass(frozen=True)
class AxisMeasure:
    """What was measured on an axis, on pairs that nothing was fitted to.

    Args:
        num_pairs: Pairs that people and the scorer have judged on it.
        num_prompts: Prompts of those.
        num_tied_votes: Pairs with a share of votes of exactly one half.
        num_equal_scores: Pairs with equal scores.
        tie_rule: The rule of the accuracy, with what it chose.
        num_counted: Pairs that it counts.
        accuracy: Under that rule, with its interval over prompts; ``None`` where no pair counts,
            as with a rule that had nothing to choose its threshold on.
        kendall: Tau-b of the difference of scores and the share of votes, every pair in both
            orders, with its interval over prompts; ``None`` where either is constant.
        spearman: Rho of the same.
        forecasts: By name, beginning with ``"uncalibrated"``.
    """

    num_pairs: int
    num_prompts: int
    num_tied_votes: int
    num_equal_scores: int
    tie_rule: TieRule
    num_counted: int
    accuracy: Interval | None
    kendall: Interval | None
    spearman: Interval | None
    forecasts: Mapping[str, ForecastMeasure]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data; what is not defined is ``None``."""
        return {
            "num_pairs": self.num_pairs,
            "num_prompts": self.num_prompts,
            "num_tied_votes": self.num_tied_votes,
            "num_equal_scores": self.num_equal_scores,
            "tie_rule": {
                "name": self.tie_rule.name,
                "definition": self.tie_rule.definition,
                "threshold": getattr(self.tie_rule, "threshold", None),
            },
            "num_counted": self.num_counted,
            "accuracy": None if self.accuracy is None else interval_dict(self.accuracy),
            "kendall_tau_b": None if self.kendall is None else interval_dict(self.kendall),
            "spearman_rho": None if self.spearman is None else interval_dict(self.spearman),
            "forecasts": {name: found.to_dict() for name, found in self.forecasts.items()},
        }


def measure_axis(
    axis: str,
    *,
    held_out: Sequence[ScoredPair],
    fitting: Sequence[ScoredPair],
    tie_rule: TieRule,
    calibrators: Mapping[str, FittedCalibrator],
) -> AxisMeasure:
    """Measure an axis on the pairs that are held out.

    Args:
        axis: Which; every pair must have it.
        held_out: At least one pair.
        fitting: Pairs that the rule chooses its threshold on, if it has one.
        tie_rule: Of the accuracy.
        calibrators: By the name that their forecasts get.

    Raises:
        InputError: No pair (code ``metric_shape``).
    """
    pairs = judge_pairs(held_out, axis)
    try:
        rule = tie_rule.settled(judge_pairs(fitting, axis))
    except InputError as error:
        if error.code != "tie_rule_validation":
            raise
        rule = Unsettled(tie_rule, error)
    credit = rule.credit(pairs)
    counted = credit.num_counted > 0
    kendall, spearman = (
        correlation_interval(
            kind, pairs.difference, pairs.target - 0.5, prompts=pairs.prompt, both_orders=True
        )
        for kind in (kendall_tau, spearman_rho)
    )
    columns = score_pairs(held_out, axis)
    stated = {name: one.of_pairs(columns) for name, one in calibrators.items()}
    return AxisMeasure(
        num_pairs=len(pairs),
        num_prompts=len(np.unique(pairs.prompt)),
        num_tied_votes=int((pairs.preferred == 0).sum()),
        num_equal_scores=int((pairs.scored == 0).sum()),
        tie_rule=rule,
        num_counted=credit.num_counted,
        accuracy=mean_with_interval(credit.value, pairs, weight=credit.weight) if counted else None,
        kendall=kendall,
        spearman=spearman,
        forecasts={
            name: measure_forecasts(probability, pairs)
            for name, probability in ({UNCALIBRATED: pairs.probability} | stated).items()
        },
    )


def measure_forecasts(probability: Numbers, pairs: JudgedPairs) -> ForecastMeasure:
    """Return how good the probabilities are that are stated of pairs, each ``[N]``.

    Raises:
        InputError: There is no pair (code ``metric_shape``).
    """
    # Asked first: an error for no pairs then says that there are none.
    brier_score(probability, pairs.target)
    return ForecastMeasure(
        brier=mean_with_interval(np.square(probability - pairs.target), pairs),
        negative_log_likelihood=negative_log_likelihood(probability, pairs.target),
        reliability=reliability_diagram(
            probability, pairs.target, quantity="winner", clusters=pairs.prompt
        ),
        corrected=_corrected(probability, pairs),
    )


def _corrected(probability: Numbers, pairs: JudgedPairs) -> Interval:
    """Return the calibration error less what chance adds; from one prompt alone it is not known."""
    try:
        return calibration_error_interval(
            probability, pairs.target, quantity="winner", clusters=pairs.prompt
        )
    except InputError as error:
        if error.code != "bootstrap_clusters":
            raise
    return Interval(math.nan, math.nan, math.nan, len(pairs), 1)


def judge_pairs(pairs: Sequence[ScoredPair], axis: str) -> JudgedPairs:
    """Return pairs with what the scores state of them by themselves, on one axis that all have."""
    columns = score_pairs(pairs, axis)
    stated = [preference_probability(pair.scores_a[axis], pair.scores_b[axis]) for pair in pairs]
    return JudgedPairs.of(
        columns.difference, stated, columns.target, [pair.prompt for pair in pairs]
    )


def mean_with_interval(
    values: Numbers, pairs: JudgedPairs, *, weight: Column | None = None
) -> Interval:
    """Return a weighted mean with its interval over prompts.

    From one prompt alone there is no interval: its ends are NaN.
    """
    try:
        return bootstrap_mean(values, weight=weight, clusters=pairs.prompt)
    except InputError as error:
        if error.code != "bootstrap_clusters":
            raise
    mean = float(np.average(values, weights=weight))
    prompts = len(np.unique(pairs.prompt))
    return Interval(mean, math.nan, math.nan, len(values), prompts)


def interval_dict(interval: Interval) -> dict[str, float | None]:
    """Return it as JSON data; ends that are not known are ``None``."""
    return {
        name: None if math.isnan(value) else value for name, value in interval.to_dict().items()
    }
