"""The temperature that made the votes is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from librehps.calibration import ScorePairs, Temperature
from librehps.errors import ConfigError
from librehps.results import AxisScore
from librehps.testing.votes import simulate_pairs


def standard_error(pairs: ScorePairs, temperature: float) -> float:
    chance = expit(pairs.difference / temperature)
    information = float((np.square(pairs.difference) * chance * (1 - chance)).sum())
    # The information is on the slope; that of its inverse follows by the delta method.
    return temperature**2 / np.sqrt(information)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_the_parameter_is_recovered_from_100000_pairs(temperature: float) -> None:
    pairs = simulate_pairs(lambda d, s: expit(d / temperature), 100_000, seed=1)
    found = Temperature.fit(pairs).temperature
    assert abs(found - temperature) < 2.5 * standard_error(pairs, temperature)


def test_errors_of_many_fits_have_the_size_they_should() -> None:
    errors: list[float] = []
    for seed in range(100):
        pairs = simulate_pairs(lambda d, s: expit(d / 1.7), 2000, seed=seed)
        errors.append((Temperature.fit(pairs).temperature - 1.7) / standard_error(pairs, 1.7))
    assert abs(np.mean(errors)) < 0.3
    assert 0.8 < np.std(errors) < 1.2


def test_votes_may_be_shares_and_pairs_may_stand_either_way_round() -> None:
    pairs = simulate_pairs(lambda d, s: expit(d / 2), 20_000, seed=3, votes=5)
    found = Temperature.fit(pairs).temperature
    assert found == pytest.approx(2.0, rel=0.05)
    assert Temperature.fit(pairs.folded()).temperature == pytest.approx(found, rel=1e-9)
    assert Temperature.fit(pairs.with_random_sides()).temperature == pytest.approx(found, rel=1e-9)


@given(st.floats(0.01, 100), st.floats(-50, 50), st.floats(-50, 50))
def test_the_probability_is_logistic(temperature: float, a: float, b: float) -> None:
    found = Temperature(temperature).probability(AxisScore(a), AxisScore(b))
    assert found == pytest.approx(expit((a - b) / temperature), rel=1e-12, abs=1e-300)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (0.0, "calibration_not_monotone"),
        (-1.0, "calibration_not_monotone"),
        (float("nan"), "calibration_number"),
        (float("inf"), "calibration_number"),
    ],
)
def test_a_temperature_is_above_zero_and_finite(value: float, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Temperature(value)
    assert caught.value.code == code
