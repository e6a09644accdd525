"""How well calibrated scores are where the truth is known: against votes, and against the truth.

Against votes nobody has a calibration error of 0, not even who states the true probability of every
vote. What that one shows is the noise, and an error within it is as good as can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from librehps.calibration import (
    CalibrationError,
    FittedCalibrator,
    Interval,
    calibration_error_interval,
    expected_calibration_error,
)
from librehps.calibration.bootstrap import Rows
from librehps.calibration.isotonic import pool_adjacent_violators
from librehps.calibration.pairs import Numbers
from librehps.calibration.table import fitted_type
from librehps.errors import InputError
from librehps.evaluate.measures import interval_dict, judge_pairs
from librehps.evaluate.scored import ScoredPair, score_pairs

__all__ = ["TruthComparison", "compare_with_truth", "true_probabilities"]


@dataclass(frozen=True)
class TruthComparison:
    """Calibration errors of the winner on the pairs that nothing was fitted to.

    Args:
        calibrator: What was fitted on the part for fitting.
        num_prompts: Prompts of the pairs that are judged.
        uncalibrated: Of what the scores state by themselves, against votes.
        calibrated: Of what the calibrator states, against votes.
        corrected: The same less what chance adds to it, with its interval over prompts.
        ideal: Of the true probabilities, against the same votes.
        noise: Of the true probabilities, were the votes cast again: the mean, and between which
            errors 95 % of such votes lie.
        ideal_calibrator: The same of the best curve from differences of scores to probabilities
            that never falls, fitted to the true probabilities of the very pairs that are judged.
        ideal_calibrator_redrawn: Of that curve, were other pairs drawn, too: prompts are drawn with
            replacement. A calibrator is judged on pairs that it was not fitted to, and scores do
            not know the truth of a pair, so which pairs there are is chance to it as well.
        against_truth: Of what the calibrator states, against the true probabilities.
    """

    calibrator: FittedCalibrator
    num_prompts: int
    uncalibrated: CalibrationError
    calibrated: CalibrationError
    corrected: Interval
    ideal: CalibrationError
    noise: Interval
    ideal_calibrator: Interval
    ideal_calibrator_redrawn: Interval
    against_truth: CalibrationError

    @property
    def within_ideal_calibrator(self) -> bool:
        """Whether the ideal calibrator of these scores shows as great an error by chance."""
        return self.calibrated.value <= self.ideal_calibrator.high

    @property
    def within_noise(self) -> bool:
        """Whether who knows the true probability of every pair shows as great an error by chance.

        That is hard on a scorer that knows less: votes scatter more around what it states, also
        where it states what is true on average.
        """
        return self.calibrated.value <= self.noise.high

    @property
    def within_chance(self) -> bool:
        """Whether who is calibrated, and knows as little, shows as great an error by chance."""
        return self.corrected.low == 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "calibrator": {
                "kind": self.calibrator.kind,
                "parameters": self.calibrator.parameters(),
            },
            "num_prompts": self.num_prompts,
            "uncalibrated": self.uncalibrated.to_dict(),
            "calibrated": self.calibrated.to_dict(),
            "corrected": interval_dict(self.corrected),
            "ideal": self.ideal.to_dict(),
            "noise": interval_dict(self.noise),
            "ideal_calibrator": interval_dict(self.ideal_calibrator),
            "ideal_calibrator_redrawn": interval_dict(self.ideal_calibrator_redrawn),
            "against_truth": self.against_truth.to_dict(),
            "within_noise": self.within_noise,
            "within_ideal_calibrator": self.within_ideal_calibrator,
            "within_chance": self.within_chance,
        }


def compare_with_truth(
    pairs: Sequence[ScoredPair],
    truth: Mapping[str, Mapping[str, Any]],
    *,
    axis: str = "overall",
    kind: str = "platt",
    casts: int = 1000,
    seed: int = 0,
) -> TruthComparison:
    """Calibrate on the part for fitting, and compare with the truth on the rest.

    Args:
        pairs: Scored pairs of a synthetic benchmark, with the number of their votes.
        truth: What is true of them, by key: see :func:`~librehps.data.synthetic.files.read_truth`.
        axis: The axis.
        kind: A name in ``CALIBRATORS``.
        casts: How often votes are cast again, and pairs drawn again for the ideal calibrator.
        seed: Of those votes and draws.

    Raises:
        InputError: Pairs that the truth does not know (code ``truth_missing``), that have no number
            of votes (``truth_votes``), or none that is held out (``evaluation_empty``); a fit that
            is refused.
        ConfigError: See :func:`~librehps.calibration.fit_calibration`.
    """
    having = [pair for pair in pairs if pair.has(axis)]
    fitting = [pair for pair in having if pair.for_fitting]
    held_out = [pair for pair in having if not pair.for_fitting]
    if not held_out:
        raise InputError("no pair with this axis is held out", code="evaluation_empty", item=axis)
    true = true_probabilities(held_out, truth, axis=axis)
    votes = _num_votes(held_out)
    calibrator = fitted_type(kind).fit(score_pairs(fitting, axis))
    judged = judge_pairs(held_out, axis)
    columns = score_pairs(held_out, axis)
    stated = calibrator.of_pairs(columns)
    prompts = judged.prompt

    def error(probability: Numbers, target: Numbers, prompt: Rows = prompts) -> CalibrationError:
        return expected_calibration_error(probability, target, quantity="winner", clusters=prompt)

    rng = np.random.default_rng(seed)
    num_prompts = int(prompts.max()) + 1
    everyone = np.arange(len(held_out))
    best = _best_curve(columns.difference, true)

    def again(stated: Numbers, draw: Callable[[], Rows]) -> Interval:
        errors = np.empty(casts)
        for cast in range(casts):
            rows = draw()
            ballots = rng.binomial(votes[rows], true[rows]) / votes[rows]
            errors[cast] = error(stated[rows], ballots, prompts[rows]).value
        low, high = np.quantile(errors, (0.025, 0.975)).tolist()
        return Interval(float(errors.mean()), low, high, len(held_out), num_prompts)

    return TruthComparison(
        calibrator=calibrator,
        num_prompts=num_prompts,
        uncalibrated=error(judged.probability, judged.target),
        calibrated=error(stated, judged.target),
        corrected=calibration_error_interval(
            stated, judged.target, quantity="winner", clusters=prompts
        ),
        ideal=error(true, judged.target),
        noise=again(true, lambda: everyone),
        ideal_calibrator=again(best, lambda: everyone),
        ideal_calibrator_redrawn=again(best, lambda: _draw_prompts(prompts, rng)),
        against_truth=error(stated, true),
    )


def true_probabilities(
    pairs: Sequence[ScoredPair], truth: Mapping[str, Mapping[str, Any]], *, axis: str
) -> Numbers:
    """Return the true probability of a vote for the first picture of each pair, ``[N]``.

    Args:
        pairs: Scored pairs, some of them turned round.
        truth: By key; its ``a`` is the picture whose file ends in it.
        axis: The axis.

    Raises:
        InputError: The truth does not know a pair, or which of its pictures is which (code
            ``truth_missing``).
    """
    found: list[float] = []
    for pair in pairs:
        side = PurePosixPath(pair.image_a).stem.rpartition("-")[2]
        row = truth.get(pair.key)
        if row is None or side not in ("a", "b"):
            raise InputError(
                "is not in the truth: give the .truth.jsonl that lies beside the file that was "
                "evaluated",
                code="truth_missing",
                item=pair.key,
            )
        for_a = float(row["probabilities"][axis])
        found.append(for_a if side == "a" else 1.0 - for_a)
    return np.array(found)


def _best_curve(difference: Numbers, true: Numbers) -> Numbers:
    """Return what the curve states of each pair that is nearest to the truth and never falls."""
    ahead = difference > 0.0
    folded = np.where(ahead, true, 1.0 - true)
    distances, places, counts = np.unique(
        np.abs(difference), return_inverse=True, return_counts=True
    )
    means = np.bincount(places, weights=folded) / counts
    levels, sizes = pool_adjacent_violators(means, counts.astype(np.float64))
    levels = np.repeat(np.maximum(levels, 0.5), sizes)
    # Equal scores are the same pair both ways round.
    stated = np.where(distances == 0.0, 0.5, levels)[places]
    return np.where(ahead, stated, 1.0 - stated)


def _draw_prompts(prompts: Rows, rng: np.random.Generator) -> Rows:
    """Return the pairs of as many prompts as there are, drawn with replacement."""
    count = int(prompts.max()) + 1
    times = np.bincount(rng.integers(count, size=count), minlength=count)
    return np.repeat(np.arange(len(prompts)), times[prompts])


def _num_votes(pairs: Sequence[ScoredPair]) -> np.ndarray:
    missing = next((pair.key for pair in pairs if not pair.votes), None)
    if missing is not None:
        raise InputError("has no number of votes", code="truth_votes", item=missing)
    return np.array([pair.votes for pair in pairs], dtype=np.int64)
