"""A calibration from scored pairs, and what it does to pairs that it was not fitted to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from librehps.calibration import Calibration, FittedCalibrator, fit_calibration
from librehps.calibration.pairs import Numbers
from librehps.calibration.table import GLOBAL, TieRule, fitted_type
from librehps.errors import InputError
from librehps.evaluate.judged import JudgedPairs
from librehps.evaluate.measures import ForecastMeasure, judge_pairs, measure_forecasts
from librehps.evaluate.scored import ScoredPair, score_pairs

__all__ = ["NUM_FOLDS", "BeforeAfter", "FittedCalibration", "fit_and_measure"]

#: Parts that pairs are cut into where none are held out: each is judged by a fit on the others.
NUM_FOLDS = 5


@dataclass(frozen=True)
class BeforeAfter:
    """How good the probabilities of a benchmark are.

    Args:
        before: Those that the scores state by themselves.
        after: Those of a fit that has not seen the pairs it is judged on.
        held_out: True where the benchmark keeps pairs back, and those were judged; false where
            there are none, and folds were.
    """

    before: ForecastMeasure
    after: ForecastMeasure
    held_out: bool


@dataclass(frozen=True)
class FittedCalibration:
    """A calibration, and what it does.

    Args:
        calibration: To be written.
        measures: By the name of the benchmark; where there are several, also ``"<global>"``, of the
            fit on all of them.
    """

    calibration: Calibration
    measures: Mapping[str, BeforeAfter]


def fit_and_measure(
    pairs: Mapping[str, Sequence[ScoredPair]],
    *,
    kind: str = "platt",
    axis: str = "overall",
    ties: TieRule = "half",
    model: str | None = None,
) -> FittedCalibration:
    """Fit on the parts for fitting, and judge on what each fit has not seen.

    Args:
        pairs: Scored pairs by the name of their benchmark.
        kind: A name in ``CALIBRATORS``.
        axis: The axis to fit on.
        ties: Whether votes that tie count as half a vote for each or are left out of the fit.
        model: Fingerprint of the model whose scores these are.

    Raises:
        InputError: No pair has the axis (code ``calibration_too_few``), or pairs that cannot be
            fitted; ``item`` names the benchmark.
        ConfigError: See :func:`~librehps.calibration.fit_calibration`.
    """
    fitted_type(kind)
    having = {name: [pair for pair in some if pair.has(axis)] for name, some in pairs.items()}
    fitting = {name: [pair for pair in some if pair.for_fitting] for name, some in having.items()}
    for name, some in fitting.items():
        if not some:
            raise InputError(
                f"no pair is for fitting that people and the scorer have judged on {axis}",
                code="calibration_too_few",
                item=f"benchmark {name!r}",
            )
    columns = {name: score_pairs(some, axis) for name, some in fitting.items()}
    calibration = fit_calibration(kind, columns, axis=axis, ties=ties, model=model)
    measures: dict[str, BeforeAfter] = {}
    for name, some in having.items():
        fitted = calibration[name]
        measures[name] = _before_after(some, fitted, name=name, kind=kind, axis=axis, ties=ties)
    if len(having) > 1:
        every = [pair for some in having.values() for pair in some]
        measures[GLOBAL] = _before_after(
            every, calibration.default, name="all", kind=kind, axis=axis, ties=ties
        )
    return FittedCalibration(calibration, measures)


def _before_after(
    pairs: Sequence[ScoredPair],
    fitted: FittedCalibrator,
    *,
    name: str,
    kind: str,
    axis: str,
    ties: TieRule,
) -> BeforeAfter:
    """Judge a fit on the pairs that are held out, or fits like it on folds where none are."""
    kept = [pair for pair in pairs if not pair.for_fitting]
    if kept:
        stated = fitted.of_pairs(score_pairs(kept, axis))
    else:
        stated = _by_folds(pairs, name=name, kind=kind, axis=axis, ties=ties)
    judged: JudgedPairs = judge_pairs(kept or pairs, axis)
    return BeforeAfter(
        before=measure_forecasts(judged.probability, judged),
        after=measure_forecasts(stated, judged),
        held_out=bool(kept),
    )


def _by_folds(
    pairs: Sequence[ScoredPair], *, name: str, kind: str, axis: str, ties: TieRule
) -> Numbers:
    """Return the probability of each pair by a fit on the prompts of the other folds, ``[N]``."""
    folds = np.array([_fold(pair.prompt) for pair in pairs])
    columns = score_pairs(pairs, axis)
    stated = np.empty(len(pairs))
    for fold in range(NUM_FOLDS):
        inside = folds == fold
        if not inside.any():
            continue
        try:
            others = fit_calibration(kind, {name: columns.take(~inside)}, axis=axis, ties=ties)
        except InputError as error:
            raise error.at(f"without fold {fold + 1} of {NUM_FOLDS}") from error
        stated[inside] = others.default.of_pairs(columns.take(inside))
    return stated


def _fold(prompt: str) -> int:
    """Return which fold a prompt is in: its pairs share pictures, so they stay together."""
    digest = hashlib.sha256(f"fold:{prompt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % NUM_FOLDS
