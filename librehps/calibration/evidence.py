"""What pairs must have for a fit to mean anything; each check says what is missing, and what to do.

A fit without these conditions has no answer, or one that a number of pairs happens to suggest:
maximum likelihood would run to infinity, or turn rankings over.
"""

from __future__ import annotations

import numpy as np

from librehps.calibration.pairs import ScorePairs
from librehps.errors import InputError

__all__ = [
    "demand_both_sides",
    "demand_differences",
    "demand_disagreement",
    "demand_overlap",
    "demand_pairs",
    "demand_rising",
]


def demand_pairs(pairs: ScorePairs, minimum: int) -> None:
    """Refuse too few pairs that say anything: with a weight, and with scores that differ.

    Raises:
        InputError: Fewer than ``minimum`` (code ``calibration_too_few``).
    """
    useful = int(((pairs.weight > 0.0) & (pairs.difference != 0.0)).sum())
    if useful < minimum:
        raise InputError(
            f"{useful} of {len(pairs)} pairs have a weight and scores that differ; a fit takes at "
            f"least {minimum}: judge more pairs (an evaluation fits on a tenth of them, so it "
            f"takes {12 * minimum} or so), or fit on all pairs of a file with librehps calibrate "
            "--data",
            code="calibration_too_few",
        )


def demand_differences(pairs: ScorePairs) -> None:
    """Refuse pairs whose scores all differ by the same: no slope can be told from them.

    Raises:
        InputError: One difference only (code ``calibration_constant``).
    """
    counted = pairs.difference[pairs.weight > 0.0]
    if len(counted) == 0 or counted.min() == counted.max():
        raise InputError(
            "the scores of all pairs differ by the same; nothing can be learnt from that about "
            "other differences: check that the scores are not constant",
            code="calibration_constant",
        )


def demand_both_sides(pairs: ScorePairs) -> None:
    """Refuse pairs of which people always preferred the first, or always the second.

    Raises:
        InputError: All votes on one side (code ``calibration_one_sided``).
    """
    counted = pairs.target[pairs.weight > 0.0]
    if (counted > 0.5).any() != (counted < 0.5).any():
        raise InputError(
            "no pair was won by one of the two sides, so an intercept would only learn which side "
            "that is: turn pairs round with with_random_sides(), or fit 'temperature'",
            code="calibration_one_sided",
        )


def demand_disagreement(pairs: ScorePairs) -> None:
    """Refuse pairs in which the higher score took every vote, or none.

    Raises:
        InputError: Every vote (code ``calibration_separable``), or none
            (``calibration_not_monotone``).
    """
    folded = pairs.folded()
    counted = folded.target[(folded.weight > 0.0) & (folded.difference > 0.0)]
    if (counted == 1.0).all():
        raise _separable()
    if (counted == 0.0).all():
        raise _falling()


def demand_overlap(pairs: ScorePairs) -> None:
    """Refuse pairs that one difference of scores parts into wins and losses of the first.

    Raises:
        InputError: They are parted the right way round (code ``calibration_separable``), or the
            wrong way (``calibration_not_monotone``).
    """
    counted = pairs.weight > 0.0
    wins = pairs.difference[counted & (pairs.target > 0.0)]
    losses = pairs.difference[counted & (pairs.target < 1.0)]
    if len(wins) == 0 or len(losses) == 0 or wins.min() >= losses.max():
        raise _separable()
    if wins.max() <= losses.min():
        raise _falling()


def demand_rising(slope: float) -> None:
    """Refuse a slope that is not positive: the calibrator would turn rankings over, or level them.

    Raises:
        InputError: Zero, negative or not finite (code ``calibration_not_monotone``).
    """
    if not 0.0 < slope < np.inf:
        raise _falling(f" (slope {slope:.3g})")


def _separable() -> InputError:
    return InputError(
        "the higher score takes every vote, so no slope is steep enough: give more pairs, close "
        "ones among them, or the shares of votes in place of the winner",
        code="calibration_separable",
    )


def _falling(found: str = "") -> InputError:
    return InputError(
        f"people do not prefer what scores higher{found}: check that targets are shares of the "
        "votes for a, and that the axis is the one they were asked about",
        code="calibration_not_monotone",
    )
