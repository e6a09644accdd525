"""The three parameters are found under their bounds, and both orders are averaged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from librehps.calibration import Beta, Platt, ScorePairs
from librehps.errors import ConfigError
from librehps.results import AxisScore
from librehps.testing.votes import simulate_pairs


def logit(d: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    return a * log_expit(d) - b * log_expit(-d) + c


def standard_errors(pairs: ScorePairs, parameters: tuple[float, float, float]) -> np.ndarray:
    d = pairs.difference
    features = np.stack([log_expit(d), -log_expit(-d), np.ones(len(d))], axis=1)
    chance = expit(logit(d, *parameters))
    information = features.T @ (features * (chance * (1 - chance))[:, None])
    return np.sqrt(np.diag(np.linalg.inv(information)))


@pytest.mark.parametrize("truth", [(1.0, 1.0, 0.0), (0.4, 1.3, -0.3), (2.0, 0.7, 0.5)])
def test_the_parameters_are_recovered_from_100000_pairs(truth: tuple[float, float, float]) -> None:
    pairs = simulate_pairs(lambda d, s: expit(logit(d, *truth)), 100_000, seed=1)
    found = Beta.fit(pairs)
    errors = np.abs(np.subtract((found.a, found.b, found.c), truth))
    assert (errors / standard_errors(pairs, truth)).max() < 2.5


def test_errors_of_many_fits_have_the_size_they_should() -> None:
    truth = (0.6, 1.2, 0.1)
    errors: list[np.ndarray] = []
    for seed in range(100):
        pairs = simulate_pairs(lambda d, s: expit(logit(d, *truth)), 4000, seed=seed)
        found = Beta.fit(pairs)
        errors.append(
            np.subtract((found.a, found.b, found.c), truth) / standard_errors(pairs, truth)
        )
    assert (np.abs(np.mean(errors, axis=0)) < 0.35).all()
    assert (np.abs(np.std(errors, axis=0) - 1.0) < 0.25).all()


@pytest.mark.parametrize(("truth", "bounded"), [((-0.5, 1.5, 0.2), "a"), ((1.5, -0.5, 0.2), "b")])
def test_a_slope_that_would_be_negative_is_zero(
    truth: tuple[float, float, float], bounded: str
) -> None:
    pairs = simulate_pairs(lambda d, s: expit(logit(d, *truth)), 20_000, seed=2)
    found = Beta.fit(pairs)
    assert getattr(found, bounded) == 0.0

    def loss(parameters: np.ndarray) -> float:
        likely = logit(pairs.difference, *parameters)
        return -float((log_expit(likely) - (1 - pairs.target) * likely).mean())

    best = minimize(loss, (1.0, 1.0, 0.0), bounds=[(0, None), (0, None), (None, None)])
    np.testing.assert_allclose((found.a, found.b, found.c), best.x, atol=1e-3)
    assert loss(np.array((found.a, found.b, found.c))) <= best.fun + 1e-12


def test_a_slope_of_zero_holds_for_scores_that_lie_further_apart_than_a_float_says() -> None:
    # Seen first it wins with 1/2 however far behind it is, seen second never.
    far = AxisScore(1.7e308), AxisScore(-1.7e308)
    assert Beta(0.0, 1.0).probability(*far) == 0.75


@given(st.floats(0.05, 5), st.floats(-2, 2), st.floats(-20, 20))
def test_equal_slopes_are_platts(slope: float, c: float, d: float) -> None:
    a, b = AxisScore(d), AxisScore(0.0)
    found = Beta(slope, slope, c).probability(a, b)
    assert found == pytest.approx(Platt(slope, c).probability(a, b), rel=1e-9, abs=1e-12)


@given(st.floats(0, 5), st.floats(0.01, 5), st.floats(-2, 2), st.floats(-20, 20))
def test_the_probability_is_the_mean_of_both_orders(a: float, b: float, c: float, d: float) -> None:
    found = Beta(a, b, c).probability(AxisScore(d), AxisScore(0.0))
    there, back = (expit(logit(np.array(value), a, b, c)) for value in (d, -d))
    assert found == pytest.approx(0.5 * (there + 1.0 - back), abs=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "c", "code"),
    [
        (-0.1, 1.0, 0.0, "calibration_not_monotone"),
        (1.0, -0.1, 0.0, "calibration_not_monotone"),
        (0.0, 0.0, 0.0, "calibration_not_monotone"),
        (1.0, float("nan"), 0.0, "calibration_number"),
        (1.0, 1.0, float("inf"), "calibration_number"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(a: float, b: float, c: float, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Beta(a, b, c)
    assert caught.value.code == code
