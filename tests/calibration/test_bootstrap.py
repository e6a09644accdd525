"""Intervals hold the truth as often as they say, also where pairs of a prompt go together."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from librehps.calibration import bootstrap, bootstrap_mean
from librehps.errors import ConfigError, InputError
from librehps.evaluate.rank_correlation import kendall_tau, spearman_rho

REPETITIONS = 300


def prompts(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return values of pairs, mean 0.7, and their prompts: those of one prompt go together."""
    sizes = rng.integers(1, 9, count)
    prompt = np.repeat(np.arange(count), sizes)
    shared = rng.beta(1.4, 0.6, count)
    return rng.binomial(1, shared[prompt]) * 1.0, prompt


def coverage(*, clustered: bool, count: int = 200, repetitions: int = REPETITIONS) -> float:
    rng = np.random.default_rng(0)
    hits = 0
    for repetition in range(repetitions):
        values, prompt = prompts(rng, count)
        found = bootstrap_mean(
            values, clusters=prompt if clustered else None, resamples=400, seed=repetition
        )
        hits += found.low <= 0.7 <= found.high
    return hits / repetitions


def test_intervals_by_prompt_hold_the_truth_as_often_as_they_say() -> None:
    assert 0.93 <= coverage(clustered=True) <= 0.97


def test_intervals_that_take_pairs_for_independent_are_too_narrow() -> None:
    assert coverage(clustered=False) < 0.88


def test_few_prompts_have_wider_intervals() -> None:
    # Twenty prompts tell little of how much prompts differ; plain percentiles hold 91 % of them.
    assert 0.93 <= coverage(clustered=True, count=20, repetitions=600) <= 0.97


@pytest.mark.slow
def test_more_repetitions_say_so_more_closely() -> None:
    assert 0.94 <= coverage(clustered=True, repetitions=3000) <= 0.96
    assert 0.94 <= coverage(clustered=True, count=50, repetitions=3000) <= 0.965
    assert 0.93 <= coverage(clustered=True, count=20, repetitions=3000) <= 0.96


@pytest.mark.slow
def test_what_is_skewed_is_missed_as_often_on_both_sides() -> None:
    rng, missed = np.random.default_rng(1), np.zeros(2)
    for repetition in range(2000):
        # Errors that are rare and great, as squared ones are: mean 1, skewness 4.
        values = rng.gamma(0.25, 4.0, 150)
        found = bootstrap_mean(values, resamples=400, seed=repetition + 2000)
        missed += [found.low > 1.0, found.high < 1.0]
    assert (missed / 2000 < 0.055).all()
    assert 0.92 <= 1.0 - missed.sum() / 2000 <= 0.97


@pytest.mark.parametrize("count", [3, 40, 450])
def test_the_mean_is_the_statistic_mean(count: int) -> None:
    values, prompt = prompts(np.random.default_rng(5), count)
    fast = bootstrap_mean(values, clusters=prompt, seed=3)
    slow = bootstrap(lambda rows: float(values[rows].mean()), len(values), clusters=prompt, seed=3)
    assert fast.value == pytest.approx(slow.value)
    assert fast.low == pytest.approx(slow.low, abs=1e-12)
    assert fast.high == pytest.approx(slow.high, abs=1e-12)
    assert (fast.n, fast.num_clusters, fast.level) == (len(values), count, 0.95)


def test_how_many_draws_are_held_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values, prompt = prompts(np.random.default_rng(5), 40)
    whole = bootstrap_mean(values, clusters=prompt, resamples=100)
    # Seven resamples of 40 clusters: 100 are no multiple of it.
    # The package's attribute of this name is the function.
    module = import_module("librehps.calibration.bootstrap")
    monkeypatch.setattr(module, "_CHUNK", 7 * 40)
    assert bootstrap_mean(values, clusters=prompt, resamples=100) == whole


def test_weights_count_as_copies_do() -> None:
    values, weight = [0.0, 1.0, 5.0], [1.0, 2.0, 3.0]
    assert bootstrap_mean(values, weight=weight).value == pytest.approx(17 / 6)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=25).filter(lambda x: len({*x}) > 1))
def test_clusters_are_drawn_whole(names: list[int]) -> None:
    def statistic(rows: np.ndarray) -> float:
        found = np.bincount(rows, minlength=len(names))
        by_cluster: dict[int, set[int]] = {}
        for name, times in zip(names, found.tolist(), strict=True):
            by_cluster.setdefault(name, set()).add(times)
        assert all(len(times) == 1 for times in by_cluster.values())
        drawn.append(sum(times.copy().pop() for times in by_cluster.values()))
        return 0.0

    drawn: list[int] = []
    bootstrap(statistic, len(names), clusters=[f"prompt {name}" for name in names], resamples=5)
    # All of them, as many for each draw, and then all but one, each once.
    count = len({*names})
    assert drawn == [count] * 6 + [count - 1] * count


@pytest.mark.parametrize("clusters", [None, [*"aabcccccaa"]], ids=["rows", "clusters"])
def test_the_interval_is_its_definition(clusters: list[str] | None) -> None:
    values = np.random.default_rng(0).normal(0, 1, 10)
    groups = [[row] for row in range(10)]
    if clusters is not None:
        groups = [[row for row in range(10) if clusters[row] == name] for name in "abc"]
    rng = np.random.default_rng(7)
    medians: list[float] = []
    for _ in range(200):
        drawn = [groups[place] for place in rng.integers(len(groups), size=len(groups)).tolist()]
        medians.append(float(np.median([values[row] for rows in drawn for row in rows])))
    without = [
        float(np.median([values[row] for other in groups if other is not rows for row in other]))
        for rows in groups
    ]
    value, count = float(np.median(values)), len(groups)
    bias = norm.ppf(np.mean([0.5 * ((one < value) + (one <= value)) for one in medians]))
    moved = np.mean(without) - without
    acceleration = (moved**3).sum() / (6 * (moved**2).sum() ** 1.5)
    reach = t.isf(0.1, count - 1) * math.sqrt(count / (count - 1))
    ends = [bias + side * reach for side in (-1, 1)]
    shares = [norm.cdf(bias + end / (1 - acceleration * end)) for end in ends]
    found = bootstrap(
        lambda rows: float(np.median(values[rows])),
        10,
        clusters=clusters,
        resamples=200,
        level=0.8,
        seed=7,
    )
    assert found.to_dict() == {
        "value": value,
        "low": pytest.approx(float(np.quantile(medians, shares[0], method="weibull"))),
        "high": pytest.approx(float(np.quantile(medians, shares[1], method="weibull"))),
        "n": 10,
        "num_clusters": count,
        "level": 0.8,
    }


def test_an_end_that_acceleration_puts_beyond_all_draws_is_the_last_one() -> None:
    # One cluster is worth more than all others: the jackknife's skewness is as great as it can be.
    values = [0.0] * 30 + [1.0]
    found = bootstrap_mean(values, level=0.999999, resamples=200)
    draws = [
        np.mean(np.array(values)[rows])
        for rows in np.random.default_rng(0).integers(31, size=(200, 31))
    ]
    assert (found.low, found.high) == pytest.approx((0.0, max(draws)))


def test_values_that_are_all_equal_have_no_width() -> None:
    found = bootstrap_mean([0.1] * 30, clusters=[place // 3 for place in range(30)])
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.1)


def test_a_single_draw_is_enough() -> None:
    assert bootstrap_mean([0.0, 1.0, 2.0], resamples=1, seed=3).num_clusters == 3
    bootstrap(lambda rows: float(rows.mean()), 3, resamples=1)


def test_draws_without_a_value_are_passed_over() -> None:
    found = bootstrap(lambda rows: 1.0 if 0 in rows else math.nan, 5, resamples=100)
    assert (found.low, found.high) == (1.0, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [kendall_tau, spearman_rho])
def test_intervals_of_rank_correlations_hold_the_truth(
    correlation: Callable[[np.ndarray, np.ndarray], float],
) -> None:
    def marks(count: int, seed: int) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(seed)
        prompt = np.repeat(np.arange(count), 4)
        shared, quality = rng.normal(0, 0.8, count)[prompt], rng.normal(0, 1, len(prompt))
        score = quality + 0.7 * shared + rng.normal(0, 0.7, len(prompt))
        mark = np.round(3 + quality + shared + rng.normal(0, 0.7, len(prompt)))
        return score, np.clip(mark, 1, 5), prompt

    score, mark, _ = marks(8000, 10**6)
    truth, hits = correlation(score, mark), 0
    for repetition in range(300):
        score, mark, prompt = marks(60, repetition)

        def statistic(
            rows: np.ndarray, score: np.ndarray = score, mark: np.ndarray = mark
        ) -> float:
            return correlation(score[rows], mark[rows])

        found = bootstrap(
            statistic, len(score), clusters=prompt, resamples=200, seed=10**5 + repetition
        )
        hits += found.low <= truth <= found.high
    assert 0.93 <= hits / 300 <= 0.97


def test_the_seed_decides() -> None:
    values = np.random.default_rng(0).normal(0, 1, 50)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


@pytest.mark.parametrize(
    ("build", "kind", "code"),
    [
        (lambda: bootstrap_mean([1.0]), InputError, "bootstrap_clusters"),
        (lambda: bootstrap_mean(np.empty(0)), InputError, "bootstrap_clusters"),
        (lambda: bootstrap_mean([1, 2], clusters=["x", "x"]), InputError, "bootstrap_clusters"),
        (lambda: bootstrap_mean([1, 2], clusters=["x"]), InputError, "bootstrap_clusters"),
        (lambda: bootstrap_mean([1, 2], weight=[1]), InputError, "metric_weight"),
        (lambda: bootstrap_mean([1, 2], weight=[1, -1]), InputError, "metric_weight"),
        (lambda: bootstrap_mean([1, math.nan]), InputError, "bootstrap_undefined"),
        (lambda: bootstrap_mean([1, 2], weight=[0, 0]), InputError, "bootstrap_undefined"),
        (lambda: bootstrap(lambda rows: math.nan, 9), InputError, "bootstrap_undefined"),
        (lambda: bootstrap_mean([1, 2], resamples=0), ConfigError, "bootstrap_setting"),
        (lambda: bootstrap_mean([1, 2], level=1.0), ConfigError, "bootstrap_setting"),
    ],
)
def test_what_makes_no_sense_is_refused(build: Callable[[], object], kind: type, code: str) -> None:
    with pytest.raises(kind) as caught:
        build()
    assert caught.value.code == code
