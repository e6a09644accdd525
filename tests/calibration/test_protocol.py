"""A probability is a probability, and both ways round they add up to one exactly."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from librehps.calibration import (
    CALIBRATORS,
    Calibrator,
    GaussianDifference,
    preference_probability,
)
from librehps.errors import ConfigError
from librehps.results import AxisScore

means = st.floats(-(2.0**100), 2.0**100, width=32)
sigmas = st.none() | st.floats(0.0, 2.0**100, width=32)
axis_scores = st.builds(AxisScore, means, sigmas)
# Scores as a head gives them: close together, where rounding matters most.
near_scores = st.builds(AxisScore, st.floats(-8, 8, width=32), st.floats(0, 2, width=32))


class Lopsided:
    """A fit with an intercept, which prefers whatever comes first."""

    def probability(self, score_a: AxisScore, score_b: AxisScore) -> float:
        return 1.0 / (1.0 + math.exp(-0.3 * (score_a.mean - score_b.mean) - 0.7))


class Broken:
    """Returns something that is no probability."""

    def probability(self, score_a: AxisScore, score_b: AxisScore) -> float:
        return math.nan


@given(axis_scores, axis_scores)
def test_both_ways_round_add_up_to_one_to_the_last_bit(a: AxisScore, b: AxisScore) -> None:
    forward, backward = preference_probability(a, b), preference_probability(b, a)
    assert forward + backward == 1.0
    assert 0.0 <= forward <= 1.0
    if a.mean > b.mean:
        assert forward >= 0.5


@given(near_scores, near_scores)
def test_a_fit_with_an_intercept_is_made_antisymmetric(a: AxisScore, b: AxisScore) -> None:
    forward = preference_probability(a, b, calibrator=Lopsided())
    assert forward + preference_probability(b, a, calibrator=Lopsided()) == 1.0
    if a == b:
        assert forward == 0.5


def test_the_intercept_is_averaged_away() -> None:
    a, b, fit = AxisScore(2.0), AxisScore(0.5), Lopsided()
    expected = (fit.probability(a, b) + 1.0 - fit.probability(b, a)) / 2
    assert preference_probability(a, b, calibrator=fit) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        # Phi(1) and Phi(-2.5), from tables of the normal distribution.
        (AxisScore(1.0, 0.6), AxisScore(0.0, 0.8), 0.8413447460685429),
        (AxisScore(0.0, 3.0), AxisScore(12.5, 4.0), 0.006209665325776132),
        (AxisScore(1.0, 0.0), AxisScore(0.0, 0.0), 1.0),
        (AxisScore(1.0, 0.0), AxisScore(1.0, 0.0), 0.5),
        (AxisScore(1.0, 0.2), AxisScore(1.0, 0.9), 0.5),
        # Without sigma: the logistic function of 2.
        (AxisScore(3.0), AxisScore(1.0), 0.8807970779778823),
        (AxisScore(3.0), AxisScore(1.0, 0.1), 0.8807970779778823),
        # Both beyond the greatest float, which then stands for both: Phi(1).
        (AxisScore(1.7e308, 1.7e308), AxisScore(-1.7e308, 1.7e308), 0.8413447460685429),
    ],
)
def test_the_uncalibrated_probability(a: AxisScore, b: AxisScore, expected: float) -> None:
    assert preference_probability(a, b) == pytest.approx(expected, rel=1e-14)


def test_tiny_tails_are_not_rounded_to_zero() -> None:
    behind = preference_probability(AxisScore(-20.0, 0.6), AxisScore(0.0, 0.8))
    # Phi(-20), from tables.
    assert behind == pytest.approx(2.7536241186062337e-89, rel=1e-10, abs=0.0)


def test_a_calibrator_that_returns_nonsense_is_named() -> None:
    with pytest.raises(ConfigError, match="Broken returned nan") as caught:
        preference_probability(AxisScore(1.0), AxisScore(0.0), calibrator=Broken())
    assert caught.value.code == "calibrator_range"


def test_the_registry_holds_the_calibrator_that_needs_no_fit() -> None:
    assert CALIBRATORS["gaussian"] is GaussianDifference
    assert isinstance(GaussianDifference(), Calibrator)
