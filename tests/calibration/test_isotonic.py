"""The curve is the nearest that rises, and it calls nothing impossible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from librehps.calibration import Isotonic, ScorePairs
from librehps.calibration.isotonic import MAX_KNOTS, pool_adjacent_violators
from librehps.errors import ConfigError
from librehps.results import AxisScore
from librehps.testing.votes import simulate_pairs

weighted = st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 100)), min_size=1, max_size=50)


@given(weighted)
def test_pooling_is_scipys(rows: list[tuple[float, float]]) -> None:
    values, weights = (np.array(part) for part in zip(*rows, strict=True))
    levels, sizes = pool_adjacent_violators(values, weights)
    assert (np.diff(levels) > 0).all()
    expected = isotonic_regression(values, weights=weights).x
    np.testing.assert_allclose(np.repeat(levels, sizes), expected, atol=1e-9)


def curve(d: np.ndarray) -> np.ndarray:
    """No logistic curve: steep at first, then level."""
    return 0.5 + np.sign(d) * 0.42 * (1.0 - np.exp(-1.5 * np.abs(d)))


def test_the_curve_is_recovered_from_100000_pairs() -> None:
    pairs = simulate_pairs(lambda d, s: curve(d), 100_000, seed=1)
    fitted = Isotonic.fit(pairs)
    fresh = np.sort(np.abs(simulate_pairs(lambda d, s: curve(d), 100_000, seed=2).difference))
    for part in np.array_split(fresh, 20):
        stated, true = fitted.probabilities(part), curve(part)
        error = np.sqrt(true.mean() * (1 - true.mean()) / len(part))
        assert abs(stated.mean() - true.mean()) < 3.0 * error
    assert np.abs(fitted.probabilities(fresh) - curve(fresh))[2000:-2000].max() < 0.03
    # The number of steps grows as the cube root of that of pairs: the file stays small.
    assert len(fitted.distances) < 500


def test_the_fit_is_that_of_every_pair_both_ways_round() -> None:
    pairs = simulate_pairs(lambda d, s: curve(d), 500, seed=3, votes=3)
    fitted = Isotonic.fit(pairs)
    difference = np.concatenate([pairs.difference, -pairs.difference])
    target = np.concatenate([pairs.target, 1.0 - pairs.target])
    order = np.argsort(difference)
    expected = np.empty(len(difference))
    expected[order] = isotonic_regression(target[order]).x
    greatest = 501 / 502
    np.testing.assert_allclose(
        fitted.probabilities(difference), np.clip(expected, 1 - greatest, greatest), atol=1e-12
    )
    assert Isotonic.fit(pairs.with_random_sides()).levels == pytest.approx(fitted.levels)


def test_equal_differences_are_one_place_and_ties_say_nothing() -> None:
    difference = np.repeat([0.0, 1.0, 2.0], 100)
    target = np.concatenate([np.ones(100), np.arange(100) < 60, np.arange(100) < 90]) * 1.0
    fitted = Isotonic.fit(ScorePairs.of(difference, np.zeros(300), target))
    assert fitted.distances == (1.0, 2.0)
    assert fitted.levels == pytest.approx((0.6, 0.9))
    assert fitted.probability(AxisScore(1.5), AxisScore(0.0)) == pytest.approx(0.75)
    assert fitted.probability(AxisScore(0.5), AxisScore(0.0)) == pytest.approx(0.55)
    assert fitted.probability(AxisScore(0.0), AxisScore(9.0)) == pytest.approx(0.1)


def test_weights_count_as_copies_do() -> None:
    rng = np.random.default_rng(5)
    difference, weight = rng.normal(0, 1, 300), rng.integers(1, 4, 300)
    target = rng.binomial(1, curve(difference)) * 1.0
    zeros = np.zeros(300)
    once = Isotonic.fit(ScorePairs.of(difference, zeros, target, weight=weight))
    copies = np.repeat(np.arange(300), weight)
    often = Isotonic.fit(ScorePairs.of(difference[copies], zeros[copies], target[copies]))
    grid = np.linspace(-1, 1, 41)
    np.testing.assert_allclose(once.probabilities(grid), often.probabilities(grid), atol=1e-12)


@pytest.mark.parametrize(
    ("distances", "levels", "code"),
    [
        ((), (), "calibration_knots"),
        ((1.0,), (0.6, 0.7), "calibration_knots"),
        ((1.0,) * (MAX_KNOTS + 1), (0.6,) * (MAX_KNOTS + 1), "calibration_knots"),
        ((1.0, 1.0), (0.6, 0.7), "calibration_not_monotone"),
        ((0.0, 1.0), (0.6, 0.7), "calibration_not_monotone"),
        ((2.0, 1.0), (0.6, 0.7), "calibration_not_monotone"),
        ((1.0, 2.0), (0.7, 0.6), "calibration_not_monotone"),
        ((1.0, 2.0), (0.4, 0.6), "calibration_not_monotone"),
        ((1.0, 2.0), (0.6, 1.0), "calibration_not_monotone"),
        ((1.0, 2.0), (0.6, float("nan")), "calibration_number"),
        ((1.0, float("inf")), (0.6, 0.7), "calibration_number"),
    ],
)
def test_knots_that_make_no_sense_are_refused(
    distances: tuple[float, ...], levels: tuple[float, ...], code: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Isotonic(distances, levels)
    assert caught.value.code == code
