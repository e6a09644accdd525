"""The factor that is missing from the sigmas is found."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from librehps.calibration import GaussianDifference, ScorePairs, SigmaScale
from librehps.errors import ConfigError
from librehps.results import AxisScore
from librehps.testing.votes import simulate_pairs


def standard_error(pairs: ScorePairs, scale: float) -> float:
    assert pairs.spread is not None
    ratio = pairs.difference / pairs.spread
    z = ratio / scale
    weights = np.square(norm.pdf(z)) / (norm.cdf(z) * norm.sf(z))
    return scale**2 / math.sqrt(float((weights * np.square(ratio)).sum()))


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_the_parameter_is_recovered_from_100000_pairs(scale: float) -> None:
    pairs = simulate_pairs(lambda d, s: norm.cdf(d / (scale * s)), 100_000, seed=1)
    found = SigmaScale.fit(pairs).scale
    assert abs(found - scale) < 2.5 * standard_error(pairs, scale)


def test_errors_of_many_fits_have_the_size_they_should() -> None:
    errors: list[float] = []
    for seed in range(60):
        pairs = simulate_pairs(lambda d, s: norm.cdf(d / (1.5 * s)), 2000, seed=seed)
        errors.append((SigmaScale.fit(pairs).scale - 1.5) / standard_error(pairs, 1.5))
    assert abs(np.mean(errors)) < 0.4
    assert 0.75 < np.std(errors) < 1.25


def test_the_fit_is_the_most_likely_one_drawn_towards_one() -> None:
    pairs = simulate_pairs(lambda d, s: norm.cdf(d / (2 * s)), 3000, seed=3, votes=4)
    assert pairs.spread is not None
    ratio = pairs.difference / pairs.spread

    def loss(scale: float) -> float:
        won, lost = norm.logcdf(ratio / scale), norm.logsf(ratio / scale)
        return -float((pairs.target * won + (1 - pairs.target) * lost).sum())

    expected = minimize_scalar(loss, bounds=(0.5, 8), method="bounded", options={"xatol": 1e-9}).x
    # The scatter of fits to samples with replacement, to which no formula is known.
    rng = np.random.default_rng(0)
    logs: list[float] = []
    for _ in range(60):
        rows = rng.integers(len(pairs), size=len(pairs))
        some = ScorePairs(pairs.difference[rows], pairs.target[rows], pairs.weight[rows])
        again = ratio[rows]

        def loss_again(scale: float, some: ScorePairs = some, again: Any = again) -> float:
            won, lost = norm.logcdf(again / scale), norm.logsf(again / scale)
            return -float((some.target * won + (1 - some.target) * lost).sum())

        logs.append(math.log(minimize_scalar(loss_again, bounds=(0.5, 8), method="bounded").x))
    kept = math.log(SigmaScale.fit(pairs).scale) / math.log(expected)
    assert 0.99 < kept < 1.0
    error = math.sqrt(1 - kept) * math.log(expected)
    assert error == pytest.approx(np.std(logs), rel=0.3)


@pytest.mark.parametrize("votes", [1, 9])
def test_a_scale_that_pairs_cannot_tell_from_one_is_one(votes: int) -> None:
    def fit(scale: float, seed: int) -> float:
        pairs = simulate_pairs(lambda d, s: norm.cdf(d / (scale * s)), 400, seed=seed, votes=votes)
        return SigmaScale.fit(pairs).scale

    # Two in three normal variables lie within one standard error, however many votes there are.
    assert 55 <= sum(fit(1.0, seed) == 1.0 for seed in range(100)) <= 80
    assert 2.4 < fit(3.0, 0) < 3.6


def test_only_shares_of_the_weights_count_and_pairs_that_say_nothing_do_not() -> None:
    pairs = simulate_pairs(lambda d, s: norm.cdf(d / (1.6 * s)), 400, seed=5)
    expected = SigmaScale.fit(pairs).scale
    assert expected > 1.1
    heavy = replace(pairs, weight=np.full(400, 7.0))
    assert SigmaScale.fit(heavy).scale == pytest.approx(expected, rel=1e-12)
    light = ScorePairs.joined([pairs, replace(pairs, weight=np.full(400, 1e-9))])
    assert SigmaScale.fit(light).scale == pytest.approx(expected, rel=1e-6)
    tie = ScorePairs(np.zeros(1), np.full(1, 0.5), np.full(1, 1e4), np.ones(1))
    assert SigmaScale.fit(ScorePairs.joined([pairs, tie])).scale == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.parametrize("sure", [1e-3, 1e-12, 1e-160, 1e-250])
def test_sigmas_far_too_small_are_no_trouble(sure: float) -> None:
    # Most stated probabilities are 0 or 1 to the last bit; published heads are like that.
    pairs = simulate_pairs(lambda d, s: norm.cdf(d / s), 20_000, seed=4)
    assert pairs.spread is not None
    small = ScorePairs(pairs.difference, pairs.target, pairs.weight, pairs.spread * sure)
    assert SigmaScale.fit(small).scale * sure == pytest.approx(1.0, rel=0.05)


def test_a_scale_of_one_changes_nothing() -> None:
    a, b = AxisScore(1.3, 0.4), AxisScore(0.2, 0.9)
    expected = GaussianDifference().probability(a, b)
    assert SigmaScale(1.0).probability(a, b) == pytest.approx(expected, rel=1e-14)
    assert SigmaScale(2.0).probability(a, b) < expected


def test_scores_without_sigma_are_refused() -> None:
    with pytest.raises(ConfigError, match="'sigma_scale' needs the sigmas") as caught:
        SigmaScale(1.0).probability(AxisScore(1.0, 0.5), AxisScore(0.0))
    assert caught.value.code == "calibration_sigma_missing"


def test_sigmas_of_zero_make_a_step() -> None:
    high, low = AxisScore(1.0, 0.0), AxisScore(0.0, 0.0)
    assert SigmaScale(3.0).probability(high, low) == 1.0
    assert SigmaScale(3.0).probability(low, high) == 0.0
    assert SigmaScale(3.0).probability(low, low) == 0.5


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_is_above_zero_and_finite(scale: float) -> None:
    with pytest.raises(ConfigError):
        SigmaScale(scale)
