"""Data that cannot be fitted is refused, with a code and a way out."""

from __future__ import annotations

import numpy as np
import pytest

from librehps.calibration import (
    Beta,
    FittedCalibrator,
    Isotonic,
    Lapse,
    Platt,
    ScorePairs,
    SigmaScale,
)
from librehps.calibration import Temperature as Temp
from librehps.calibration.evidence import (
    demand_both_sides,
    demand_differences,
    demand_disagreement,
    demand_overlap,
    demand_pairs,
    demand_rising,
)
from librehps.errors import InputError

EVERY = (Beta, Isotonic, Lapse, Platt, SigmaScale, Temp)
SIDED = (Beta, Platt)
COUNT = 400


def pairs(difference: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None):
    count = len(difference)
    ones = np.ones(count)
    return ScorePairs.of(
        difference, np.zeros(count), target, sigma_a=ones, sigma_b=ones, weight=weight
    )


def good(seed: int = 0, count: int = COUNT) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    difference = rng.normal(0, 2, count)
    return difference, rng.binomial(1, 1 / (1 + np.exp(-difference))) * 1.0


def refused(kind: type[FittedCalibrator], given: ScorePairs) -> str:
    with pytest.raises(InputError) as caught:
        kind.fit(given)
    return caught.value.code


@pytest.mark.parametrize("kind", EVERY)
def test_good_data_is_fitted(kind: type[FittedCalibrator]) -> None:
    kind.fit(pairs(*good()))


@pytest.mark.parametrize("kind", EVERY)
def test_too_little_is_refused(kind: type[FittedCalibrator]) -> None:
    difference, target = good()
    assert refused(kind, pairs(difference[:20], target[:20])) == "calibration_too_few"
    assert refused(kind, pairs(difference[:0], target[:0])) == "calibration_too_few"
    most_weigh_nothing = (np.arange(COUNT) < 20) * 1.0
    assert refused(kind, pairs(difference, target, most_weigh_nothing)) == "calibration_too_few"
    most_tie = difference * (np.arange(COUNT) < 20)
    assert refused(kind, pairs(most_tie, target)) == "calibration_too_few"


@pytest.mark.parametrize("kind", EVERY)
def test_constant_scores_are_refused(kind: type[FittedCalibrator]) -> None:
    target = good()[1]
    assert refused(kind, pairs(np.zeros(COUNT), target)) == "calibration_too_few"
    assert refused(kind, pairs(np.full(COUNT, 0.7), target)) == "calibration_constant"
    # What does not count does not vary them either.
    some = np.arange(COUNT) < COUNT // 2
    varied = pairs(np.where(some, 0.7, good()[0]), target, some * 1.0)
    assert refused(kind, varied) == "calibration_constant"


@pytest.mark.parametrize("kind", EVERY)
def test_constant_votes_are_refused(kind: type[FittedCalibrator]) -> None:
    code = refused(kind, pairs(good()[0], np.full(COUNT, 0.5)))
    assert code == "calibration_not_monotone"


@pytest.mark.parametrize("kind", SIDED)
@pytest.mark.parametrize("share", [1.0, 0.8])
def test_an_intercept_is_not_fitted_to_which_side_was_written_first(
    kind: type[FittedCalibrator], share: float
) -> None:
    difference, target = good()
    first_wins = pairs(np.where(target > 0.5, difference, -difference), np.full(COUNT, share))
    assert refused(kind, first_wins) == "calibration_one_sided"
    kind.fit(first_wins.with_random_sides())
    Temp.fit(first_wins)


@pytest.mark.parametrize("kind", EVERY)
def test_scores_that_fall_where_votes_rise_are_refused(kind: type[FittedCalibrator]) -> None:
    difference, target = good()
    with pytest.raises(InputError, match="do not prefer what scores higher") as caught:
        kind.fit(pairs(-difference, target))
    assert caught.value.code == "calibration_not_monotone"


@pytest.mark.parametrize("kind", [Beta, Lapse, Platt, SigmaScale, Temp])
def test_scores_that_are_never_wrong_have_no_slope(kind: type[FittedCalibrator]) -> None:
    difference = good()[0]
    assert refused(kind, pairs(difference, (difference > 0) * 1.0)) == "calibration_separable"
    assert refused(kind, pairs(difference, (difference < 0) * 1.0)) == "calibration_not_monotone"


@pytest.mark.parametrize("kind", [Beta, Lapse, Platt, SigmaScale, Temp])
def test_pairs_without_weight_hide_nothing(kind: type[FittedCalibrator]) -> None:
    difference, target = good()
    weight = np.repeat([1.0, 0.0], COUNT)

    def hidden(first: np.ndarray, votes: np.ndarray) -> ScorePairs:
        return pairs(np.append(first, difference), np.append(votes, target), weight)

    always = (difference > 0) * 1.0
    assert refused(kind, hidden(difference, always)) == "calibration_separable"
    assert refused(kind, hidden(difference, 1.0 - always)) == "calibration_not_monotone"
    assert refused(kind, hidden(-difference, target)) == "calibration_not_monotone"
    if kind in SIDED:
        assert refused(kind, hidden(difference, np.ones(COUNT))) == "calibration_one_sided"


@pytest.mark.parametrize(
    ("sign", "code"), [(1.0, "calibration_separable"), (-1.0, "calibration_not_monotone")]
)
def test_pairs_that_touch_at_one_difference_are_parted(sign: float, code: str) -> None:
    # Any slope is beaten by a steeper one: the two at 0.5 stay at one half.
    touching = pairs(sign * np.array([0.1, 0.5, 0.5, 0.9]), np.array([0.0, 0.0, 1.0, 1.0]))
    with pytest.raises(InputError) as caught:
        demand_overlap(touching)
    assert caught.value.code == code


def test_scores_that_are_never_wrong_still_have_an_isotonic_curve() -> None:
    difference = np.append(good()[0], np.zeros(50))
    fitted = Isotonic.fit(pairs(difference, (difference > 0) * 1.0))
    # The rule of succession: nothing that was never seen is impossible. Ties saw nothing.
    assert set(fitted.levels) == {(COUNT + 1) / (COUNT + 2)}


def test_sigmas_are_needed_to_rescale_them() -> None:
    difference, target = good()
    without = ScorePairs.of(difference, np.zeros(COUNT), target)
    assert refused(SigmaScale, without) == "calibration_sigma_missing"
    one_zero = ScorePairs(
        difference, target, np.ones(COUNT), (np.arange(COUNT) > 0).astype(np.float64)
    )
    assert refused(SigmaScale, one_zero) == "calibration_sigma_missing"


def test_the_checks_pass_what_is_enough() -> None:
    given = pairs(*good())
    demand_pairs(given, COUNT)
    demand_differences(given)
    demand_both_sides(given)
    demand_disagreement(given)
    demand_overlap(given)
    demand_rising(1e-300)
    for slope in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError):
            demand_rising(slope)


def test_a_shift_that_parts_wins_from_losses_is_seen_only_with_an_intercept() -> None:
    difference = good()[0]
    shifted = pairs(difference, (difference > 0.5) * 1.0)
    demand_disagreement(shifted)
    with pytest.raises(InputError) as caught:
        demand_overlap(shifted)
    assert caught.value.code == "calibration_separable"
