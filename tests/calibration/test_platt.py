"""Slope and intercept are found, and the intercept is averaged over both orders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from librehps.calibration import Platt, ScorePairs
from librehps.errors import ConfigError
from librehps.results import AxisScore
from librehps.testing.votes import simulate_pairs


def standard_errors(pairs: ScorePairs, a: float, b: float) -> np.ndarray:
    features = np.stack([pairs.difference, np.ones(len(pairs))], axis=1)
    chance = expit(a * pairs.difference + b)
    information = features.T @ (features * (chance * (1 - chance))[:, None])
    return np.sqrt(np.diag(np.linalg.inv(information)))


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.0), (0.3, 0.5), (4.0, -1.0)])
def test_the_parameters_are_recovered_from_100000_pairs(a: float, b: float) -> None:
    pairs = simulate_pairs(lambda d, s: expit(a * d + b), 100_000, seed=1)
    found = Platt.fit(pairs)
    errors = np.abs([found.a - a, found.b - b]) / standard_errors(pairs, a, b)
    assert errors.max() < 2.5


def test_errors_of_many_fits_have_the_size_they_should() -> None:
    errors: list[np.ndarray] = []
    for seed in range(100):
        pairs = simulate_pairs(lambda d, s: expit(0.8 * d + 0.4), 2000, seed=seed)
        found = Platt.fit(pairs)
        errors.append(np.array([found.a - 0.8, found.b - 0.4]) / standard_errors(pairs, 0.8, 0.4))
    assert (np.abs(np.mean(errors, axis=0)) < 0.3).all()
    assert (np.abs(np.std(errors, axis=0) - 1.0) < 0.2).all()


def test_where_the_first_is_favoured_the_mean_over_both_orders_is_calibrated() -> None:
    def law(d: np.ndarray, s: np.ndarray) -> np.ndarray:
        return expit(1.2 * d + 0.8)

    fitted = Platt.fit(simulate_pairs(law, 100_000, seed=2))
    fresh = simulate_pairs(law, 200_000, seed=3).with_random_sides(1)
    stated = fitted.of_pairs(fresh)
    for low in np.arange(0.0, 1.0, 0.1):
        rows = (stated >= low) & (stated < low + 0.1)
        error = np.sqrt(stated[rows].mean() * (1 - stated[rows].mean()) / rows.sum())
        assert abs(stated[rows].mean() - fresh.target[rows].mean()) < 3.5 * error + 1e-3


@given(st.floats(0.01, 20), st.floats(-5, 5), st.floats(-20, 20), st.floats(-20, 20))
def test_the_probability_is_the_mean_of_both_orders(a: float, b: float, x: float, y: float) -> None:
    found = Platt(a, b).probability(AxisScore(x), AxisScore(y))
    expected = 0.5 * (expit(a * (x - y) + b) + 1.0 - expit(a * (y - x) + b))
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("b", [1e308, -1e308, 800.0])
def test_an_absurd_intercept_does_not_overflow(b: float) -> None:
    assert Platt(1.0, b).probability(AxisScore(1.7e308), AxisScore(-1.7e308)) == 1.0
    assert Platt(1.0, b).probability(AxisScore(1.0), AxisScore(0.0)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("a", "b", "code"),
    [
        (0.0, 0.0, "calibration_not_monotone"),
        (-2.0, 0.0, "calibration_not_monotone"),
        (float("nan"), 0.0, "calibration_number"),
        (1.0, float("inf"), "calibration_number"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(a: float, b: float, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Platt(a, b)
    assert caught.value.code == code
