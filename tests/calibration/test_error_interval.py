"""Intervals of the calibration error hold the exact one, where a bootstrap of it never does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from librehps.calibration import (
    bootstrap,
    calibration_error_interval,
    expected_calibration_error,
)
from librehps.errors import ConfigError, InputError
from librehps.testing.forecasts import NUM_BINS, exact_error, simulate_forecasts

REPETITIONS = 300


def coverage(sureness: float, *, repetitions: int = REPETITIONS, clustered: bool = True) -> float:
    hits, truth = 0, exact_error(sureness)
    for repetition in range(repetitions):
        stated, share, prompt = simulate_forecasts(300, sureness=sureness, seed=repetition)
        clusters = prompt if clustered else None
        found = calibration_error_interval(stated, share, clusters=clusters, num_bins=NUM_BINS)
        hits += found.low <= truth <= found.high
    return hits / repetitions


@pytest.mark.parametrize("sureness", [1.3, 0.6])
def test_intervals_hold_the_truth_as_often_as_they_say(sureness: float) -> None:
    assert 0.93 <= coverage(sureness) <= 0.97


def test_that_of_a_calibrated_scorer_misses_on_one_side_only() -> None:
    # An error of 0 cannot lie above an interval: what is missed is half of 5 %.
    assert 0.95 <= coverage(1.0) <= 0.99
    assert coverage(1.0, clustered=False) < 0.95


@pytest.mark.slow
@pytest.mark.parametrize("sureness", [1.0, 1.1, 1.3, 2.0, 0.6])
def test_more_repetitions_say_so_more_closely(sureness: float) -> None:
    # Little that is wrong is held more often, as an error cannot be less than nothing.
    low, high = (0.94, 0.975) if sureness not in (1.0, 1.1) else (0.955, 0.985)
    assert low <= coverage(sureness, repetitions=3000) <= high


@pytest.mark.slow
def test_one_bin_alone_that_is_off_by_far_is_held_less_often() -> None:
    # The docs say so: what chance adds to the other bins is not all taken off.
    rng, hits = np.random.default_rng(9), 0
    for _ in range(1000):
        stated = rng.random(3000)
        off = (stated > 14 / 15) * 0.5
        votes = rng.binomial(1, stated - off) * 1.0
        found = calibration_error_interval(stated, votes)
        hits += found.low <= 0.5 / 15 <= found.high
    assert 0.6 < hits / 1000 < 0.8


def test_the_bootstrap_of_the_error_holds_nothing_where_a_scorer_is_calibrated() -> None:
    for seed in range(5):
        stated, share, prompt = simulate_forecasts(300, sureness=1.0, seed=seed)

        def error(rows: Any, stated: Any = stated, share: Any = share) -> float:
            return expected_calibration_error(stated[rows], share[rows], num_bins=NUM_BINS).value

        assert bootstrap(error, len(share), clusters=prompt, resamples=100).low > 0.0


def test_what_chance_adds_is_taken_off() -> None:
    off: list[float] = []
    raw: list[float] = []
    truth = exact_error(1.3)
    for seed in range(200):
        stated, share, prompt = simulate_forecasts(300, sureness=1.3, seed=seed)
        found = calibration_error_interval(stated, share, clusters=prompt, num_bins=NUM_BINS)
        off.append(found.value - truth)
        raw.append(expected_calibration_error(stated, share, num_bins=NUM_BINS).value - truth)
    assert abs(np.mean(off)) < 0.5 * np.mean(raw)
    assert np.mean(raw) > 0.002


@pytest.mark.parametrize("sureness", [1.0, 1.3])
def test_100000_pairs_agree_with_the_exact_error(sureness: float) -> None:
    stated, share, prompt = simulate_forecasts(22_500, sureness=sureness, seed=7)
    found = calibration_error_interval(stated, share, clusters=prompt, num_bins=NUM_BINS)
    assert found.n > 100_000
    assert found.low <= exact_error(sureness) <= found.high
    assert found.high - found.low < 0.006


def test_numbers_of_one_bin_are_the_normal_ones() -> None:
    votes = np.repeat([0.0, 1.0], [40, 60])
    found = calibration_error_interval(np.full(100, 0.3), votes, num_bins=1)
    error = np.sqrt(0.24 / 99)
    assert found.value == pytest.approx(0.3, abs=1e-6)
    assert found.high - found.value == pytest.approx(1.98422 * error, rel=1e-4)
    assert found.value - found.low == pytest.approx(1.98422 * error, rel=1e-4)
    assert (found.n, found.num_clusters, found.level) == (100, 100, 0.95)


def test_a_scorer_that_is_never_off_has_an_error_of_nothing() -> None:
    found = calibration_error_interval([0.0, 1.0, 0.5], [0.0, 1.0, 0.5])
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("choice", "kind", "code"),
    [
        ({"level": 1.0}, ConfigError, "metric_setting"),
        ({"num_bins": 0}, ConfigError, "metric_setting"),
        ({"clusters": ["a", "a"]}, InputError, "bootstrap_clusters"),
        ({"clusters": ["a"]}, InputError, "bootstrap_clusters"),
    ],
)
def test_what_makes_no_sense_is_refused(choice: dict[str, Any], kind: type, code: str) -> None:
    with pytest.raises(kind) as caught:
        calibration_error_interval([0.4, 0.6], [0.0, 1.0], **choice)
    assert caught.value.code == code
