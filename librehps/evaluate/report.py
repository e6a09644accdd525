"""From scored pairs to the numbers of an evaluation: each benchmark, each axis, all together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from librehps.calibration import FittedCalibrator, ScorePairs
from librehps.calibration.table import fitted_type
from librehps.errors import InputError
from librehps.evaluate.measures import UNCALIBRATED, AxisMeasure, measure_axis
from librehps.evaluate.ranking_measures import RankingMeasure, measure_rankings
from librehps.evaluate.rating_measures import RatingMeasure, measure_ratings
from librehps.evaluate.scored import ScoredPair, score_pairs
from librehps.evaluate.scored_rankings import ScoredRanking
from librehps.evaluate.scored_ratings import ScoredRating
from librehps.evaluate.tie_rules import TieRule
from librehps.results import AXIS_FIELDS

__all__ = [
    "CALIBRATED",
    "CALIBRATED_GLOBAL",
    "Aggregate",
    "SuiteMeasure",
    "aggregate_over_suites",
    "measure_suites",
]

#: The forecasts of a calibrator that was fitted on the benchmark's own part for fitting.
CALIBRATED = "calibrated"
#: The same of one that was fitted on those parts of all benchmarks.
CALIBRATED_GLOBAL = "calibrated_global"


@dataclass(frozen=True)
class SuiteMeasure:
    """What was measured on a benchmark.

    Args:
        name: Of the benchmark.
        axes: What was measured by axis on its pairs, those of its rankings among them.
        fits: Parameters of the calibrators by axis and by the name of their forecasts.
        refused: Why there is no calibrator, by axis and by that name.
        rankings: What was measured on its rankings that are held out; ``None`` where it has none.
        ratings: What was measured on its marks, by what was marked.
    """

    name: str
    axes: Mapping[str, AxisMeasure]
    fits: Mapping[str, Mapping[str, FittedCalibrator]]
    refused: Mapping[str, Mapping[str, InputError]]
    rankings: RankingMeasure | None = None
    ratings: Mapping[str, RatingMeasure] = field(default_factory=dict[str, RatingMeasure])

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "name": self.name,
            "axes": {
                axis: {
                    **found.to_dict(),
                    "calibrators": {
                        **{
                            name: {"kind": fit.kind, "parameters": fit.parameters()}
                            for name, fit in self.fits[axis].items()
                        },
                        **{
                            name: {"refused": error.to_dict()}
                            for name, error in self.refused[axis].items()
                        },
                    },
                }
                for axis, found in self.axes.items()
            },
            "rankings": None if self.rankings is None else self.rankings.to_dict(),
            "ratings": {name: found.to_dict() for name, found in self.ratings.items()},
        }


@dataclass(frozen=True)
class Aggregate:
    """Means over benchmarks on one axis, each weighted by its pairs.

    Args:
        axis: Which.
        num_pairs: Pairs of all.
        accuracy: Mean of the accuracies, each under the rule of its benchmark; NaN where one has
            none.
        calibration_error: By the name of the forecasts, where every benchmark has them.
        brier: The same of the Brier score.
    """

    axis: str
    num_pairs: int
    accuracy: float
    calibration_error: Mapping[str, float]
    brier: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        accuracy = None if math.isnan(self.accuracy) else self.accuracy
        return {
            **vars(self),
            "accuracy": accuracy,
            "calibration_error": dict(self.calibration_error),
            "brier": dict(self.brier),
        }


def measure_suites(
    pairs: Mapping[str, Sequence[ScoredPair]],
    *,
    tie_rules: Mapping[str, TieRule],
    rankings: Mapping[str, Sequence[ScoredRanking]] | None = None,
    ratings: Mapping[str, Sequence[ScoredRating]] | None = None,
    calibrator: str = "platt",
) -> list[SuiteMeasure]:
    """Measure every benchmark on every axis that people and the scorer have judged.

    The calibrator is fitted on the part for fitting alone. Where there are several benchmarks there
    is a fit on those parts of all, too. A fit that is refused leaves its forecasts out, and says
    why.

    Args:
        pairs: Scored pairs by the name of their benchmark, those of rankings among them; a name
            for each benchmark.
        tie_rules: The rule of each.
        rankings: Scored rankings by that name.
        ratings: Scored marks by that name.
        calibrator: A name in ``CALIBRATORS``, of one that is fitted.

    Raises:
        ConfigError: No such calibrator (code ``name_unknown``), or one without parameters
            (``calibration_kind``).
        InputError: A benchmark has no pair that is held out and no mark (code
            ``evaluation_empty``).
    """
    kind = fitted_type(calibrator)
    found: list[SuiteMeasure] = []
    for name, some in pairs.items():
        axes: dict[str, AxisMeasure] = {}
        fits: dict[str, dict[str, FittedCalibrator]] = {}
        refused: dict[str, dict[str, InputError]] = {}
        for axis in AXIS_FIELDS:
            held_out = _having(some, axis, for_fitting=False)
            if not held_out:
                continue
            fitting = _having(some, axis, for_fitting=True)
            parts = {CALIBRATED: fitting}
            if len(pairs) > 1:
                every = [pair for one in pairs.values() for pair in one]
                parts[CALIBRATED_GLOBAL] = _having(every, axis, for_fitting=True)
            fits[axis], refused[axis] = _fit(kind, parts, axis)
            try:
                axes[axis] = measure_axis(
                    axis,
                    held_out=held_out,
                    fitting=fitting,
                    tie_rule=tie_rules[name],
                    calibrators=fits[axis],
                )
            except InputError as error:
                raise error.at(f"{name}, {axis}") from error
        marks = measure_ratings((ratings or {}).get(name, ()))
        if not axes and not marks:
            raise InputError(
                "no pair is held out that people and this scorer have judged: give more pairs",
                code="evaluation_empty",
                item=name,
            )
        ranked = _measure_rankings((rankings or {}).get(name, ()), axes)
        found.append(SuiteMeasure(name, axes, fits, refused, ranked, marks))
    return found


def aggregate_over_suites(suites: Sequence[SuiteMeasure], axis: str = "overall") -> Aggregate:
    """Return means over the benchmarks that have an axis, weighted by their pairs.

    Raises:
        InputError: None has it (code ``evaluation_empty``).
    """
    parts = [suite.axes[axis] for suite in suites if axis in suite.axes]
    total = sum(part.num_pairs for part in parts)
    if not total:
        raise InputError(f"no benchmark has the axis {axis}", code="evaluation_empty")

    def mean(values: Sequence[float]) -> float:
        weighted = (
            value * part.num_pairs / total for value, part in zip(values, parts, strict=True)
        )
        return sum(weighted)

    names = [
        name
        for name in (UNCALIBRATED, CALIBRATED, CALIBRATED_GLOBAL)
        if all(name in part.forecasts for part in parts)
    ]
    forecasts = {name: [part.forecasts[name] for part in parts] for name in names}
    return Aggregate(
        axis=axis,
        num_pairs=total,
        accuracy=mean([math.nan if p.accuracy is None else p.accuracy.value for p in parts]),
        calibration_error={
            name: mean([one.reliability.error.value for one in every])
            for name, every in forecasts.items()
        },
        brier={name: mean([one.brier.value for one in every]) for name, every in forecasts.items()},
    )


def _measure_rankings(
    rankings: Sequence[ScoredRanking], axes: Mapping[str, AxisMeasure]
) -> RankingMeasure | None:
    """Measure rankings overall, which is what people ranked, with the rule that the pairs have."""
    held_out = [one for one in rankings if not one.for_fitting]
    if not held_out or "overall" not in axes:
        return None
    return measure_rankings(held_out, tie_rule=axes["overall"].tie_rule)


def _having(pairs: Sequence[ScoredPair], axis: str, *, for_fitting: bool) -> list[ScoredPair]:
    return [pair for pair in pairs if pair.for_fitting == for_fitting and pair.has(axis)]


def _fit(
    kind: type[FittedCalibrator], parts: Mapping[str, Sequence[ScoredPair]], axis: str
) -> tuple[dict[str, FittedCalibrator], dict[str, InputError]]:
    fits: dict[str, FittedCalibrator] = {}
    refused: dict[str, InputError] = {}
    for name, pairs in parts.items():
        columns: ScorePairs = score_pairs(pairs, axis)
        try:
            fits[name] = kind.fit(columns)
        except InputError as error:
            refused[name] = error
    return fits, refused
