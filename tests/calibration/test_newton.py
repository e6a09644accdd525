"""Newton's method finds what a general optimiser finds, and says when there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from librehps.calibration.newton import logistic_regression, minimise
from librehps.errors import InputError


def problem(seed: int, count: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = np.stack([rng.normal(0, 2, count), rng.normal(1, 1, count), np.ones(count)], axis=1)
    target = rng.binomial(4, expit(features @ np.array([0.8, -0.3, 0.4]))) / 4
    return features, target, rng.uniform(0, 2, count)


@pytest.mark.parametrize("seed", range(3))
def test_logistic_regression_finds_the_least_of_the_weighted_loss(seed: int) -> None:
    features, target, weight = problem(seed)

    def loss(parameters: np.ndarray) -> float:
        chance = expit(features @ parameters)
        return -float(weight @ (target * np.log(chance) + (1 - target) * np.log(1 - chance)))

    found = logistic_regression(features, target, weight)
    expected = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-7}).x
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    slope = features.T @ (weight * (expit(features @ found) - target))
    assert np.abs(slope).max() < 1e-9


@pytest.mark.parametrize("unit", [1e-200, 1e-6, 1e6, 1e200])
def test_the_unit_of_a_feature_only_changes_the_unit_of_its_slope(unit: float) -> None:
    features, target, weight = problem(7)
    scale = np.array([unit, 1.0, 1.0])
    found = logistic_regression(features * scale, target, weight)
    np.testing.assert_allclose(
        found * scale, logistic_regression(features, target, weight), rtol=1e-9
    )


def test_newton_comes_home_from_where_a_full_step_goes_astray() -> None:
    # From 10, Newton's own step for log cosh lands at about -1e8.
    def objective(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        value = np.logaddexp(x[0], -x[0]) - np.log(2.0)
        return float(value), np.tanh(x), np.array([1.0 - np.tanh(x) ** 2])

    assert abs(minimise(objective, np.array([10.0]))[0]) < 1e-9


def test_no_single_least_point_is_an_error() -> None:
    target = (np.arange(40) % 3 > 0).astype(np.float64)
    with pytest.raises(InputError) as caught:
        logistic_regression(np.ones((40, 2)), target, np.ones(40))
    assert caught.value.code == "calibration_no_convergence"


def test_a_function_that_falls_forever_is_an_error() -> None:
    def objective(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        # Convex, and below every bound: minus the square root.
        root = float(np.sqrt(x[0]))
        return -root, np.array([-0.5 / root]), np.array([[0.25 / root**3]])

    with pytest.raises(InputError) as caught:
        minimise(objective, np.array([1.0]))
    assert caught.value.code == "calibration_no_convergence"


def test_no_step_leads_to_where_nothing_bends() -> None:
    # The curvature fades away like exp(-2|x|): Newton's step from 3 is to -98.
    seen: list[float] = []

    def objective(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        seen.append(float(x[0]))
        value = float(np.logaddexp(x, -x).sum())
        return value, np.tanh(x), np.diag(1.0 - np.tanh(x) ** 2)

    assert minimise(objective, np.array([3.0])) == pytest.approx(0.0, abs=1e-6)
    assert min(seen) >= -2.0
