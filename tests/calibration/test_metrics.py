"""Each metric is its definition, written out pair by pair."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from librehps.calibration import (
    ScorePairs,
    area_under_roc,
    brier_score,
    negative_log_likelihood,
    sigma_auroc,
)
from librehps.calibration.metrics import Forecasts
from librehps.errors import InputError
from librehps.testing.votes import simulate_pairs

probabilities = st.floats(0.0, 1.0)
inner = st.floats(1e-6, 1 - 1e-6)
rows = st.lists(st.tuples(inner, probabilities, st.floats(0.0, 10.0)), min_size=1, max_size=20)


def columns(given_rows: list[Any]) -> list[np.ndarray]:
    stated, true, weight = (np.array(part) for part in zip(*given_rows, strict=True))
    return [stated, true, weight + 0.01]


@given(rows)
def test_brier_and_likelihood_are_their_definitions(given_rows: list[Any]) -> None:
    stated, true, weight = columns(given_rows)
    total = sum(weight)
    brier = sum(w * (p - y) ** 2 for p, y, w in zip(stated, true, weight, strict=True)) / total
    assert brier_score(stated, true, weight=weight) == pytest.approx(brier, abs=1e-12)
    nll = (
        sum(
            -w * (y * math.log(p) + (1 - y) * math.log(1 - p))
            for p, y, w in zip(stated, true, weight, strict=True)
        )
        / total
    )
    assert negative_log_likelihood(stated, true, weight=weight) == pytest.approx(nll, abs=1e-9)


def test_a_coin_and_certainty() -> None:
    votes = [1.0, 0.0, 1.0]
    assert brier_score([0.5] * 3, votes) == 0.25
    assert negative_log_likelihood([0.5] * 3, votes) == pytest.approx(math.log(2))
    assert brier_score(votes, votes) == 0.0
    assert negative_log_likelihood(votes, votes) == 0.0
    assert negative_log_likelihood([1.0, 0.0, 0.0], votes) == math.inf
    # Who weighs nothing was not wrong.
    assert negative_log_likelihood([1.0, 0.0, 0.0], votes, weight=[1, 1, 0]) == 0.0


@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.booleans(), st.floats(0.1, 5)), min_size=1, max_size=15
    )
)
def test_the_area_is_the_share_of_pairs_in_order(given_rows: list[Any]) -> None:
    score, positive, weight = (list(part) for part in zip(*given_rows, strict=True))
    wins = total = 0.0
    for s, p, w in given_rows:
        for t, q, v in given_rows:
            if p and not q:
                total += w * v
                wins += w * v * (1.0 if s > t else 0.5 if s == t else 0.0)
    found = area_under_roc([float(value) for value in score], positive, weight=weight)
    if total == 0.0:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(wins / total, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # In tenths, so that many are equal.
    stated = rng.integers(1, 10, 500) / 10
    won = rng.random(500) < stated**1.5
    weight = rng.uniform(0.1, 3.0, 500)
    found = (
        brier_score(stated, won * 1.0, weight=weight),
        negative_log_likelihood(stated, won * 1.0, weight=weight),
        area_under_roc(stated, won, weight=weight),
    )
    theirs = (
        brier_score_loss(won, stated, sample_weight=weight),
        log_loss(won, stated, sample_weight=weight),
        roc_auc_score(won, stated, sample_weight=weight),
    )
    assert found == pytest.approx(theirs, rel=1e-12)


def test_the_area_of_sigma_is_that_of_scikit_learn() -> None:
    pairs = simulate_pairs(lambda d, s: 1.0 / (1.0 + np.exp(-d / s)), 2000, seed=3)
    assert pairs.spread is not None
    wrong = (pairs.difference > 0.0) != (pairs.target > 0.5)
    assert sigma_auroc(pairs) == pytest.approx(roc_auc_score(wrong, pairs.spread), rel=1e-12)


def test_the_area_of_known_rankings() -> None:
    assert area_under_roc([1, 2, 3, 4], [0, 0, 1, 1]) == 1.0
    assert area_under_roc([1, 2, 3, 4], [True, True, False, False]) == 0.0
    assert area_under_roc([1, 1, 1, 1], [0, 1, 0, 1]) == 0.5
    assert area_under_roc([1, 2, 3, 4], [0, 1, 0, 1]) == 0.75


def test_sigma_is_judged_by_the_pairs_that_are_wrong() -> None:
    # Right, wrong, wrong (b ahead, a won), a tie in votes, a tie in scores.
    pairs = ScorePairs.of(
        [1.0, 1.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0],
        [0.8, 0.2, 0.9, 0.5, 1.0],
        sigma_a=[1.0, 2.0, 0.5, 0.1, 9.0],
        sigma_b=[0.0] * 5,
    )
    assert sigma_auroc(pairs) == 0.5
    knowing = ScorePairs(pairs.difference, pairs.target, pairs.weight, np.array([1, 2, 3, 0, 0.0]))
    assert sigma_auroc(knowing) == 1.0
    # The wrong pair with a spread of 2 counts four times, so the other one is a fifth.
    weighed = ScorePairs(pairs.difference, pairs.target, np.array([1, 4, 1, 1, 1.0]), pairs.spread)
    assert sigma_auroc(weighed) == pytest.approx(0.8)
    with pytest.raises(InputError) as caught:
        sigma_auroc(ScorePairs.of([1.0], [0.0], [1.0]))
    assert caught.value.code == "calibration_sigma_missing"


def test_a_sigma_that_means_something_is_found_out() -> None:
    from scipy.stats import norm

    honest = simulate_pairs(lambda d, s: norm.cdf(d / s), 20_000, seed=1)
    assert sigma_auroc(honest) > 0.53
    blind = simulate_pairs(lambda d, s: norm.cdf(d), 20_000, seed=1)
    assert abs(sigma_auroc(blind) - 0.5) < 0.02


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (([0.5], [0.5, 0.5], None), "metric_shape"),
        (([], [], None), "metric_shape"),
        (([0.5], [0.5], [1.0, 1.0]), "metric_shape"),
        (([1.1], [0.5], None), "probability_range"),
        (([0.5], [-0.1], None), "probability_range"),
        (([math.nan], [0.5], None), "probability_range"),
        (([0.5], [0.5], [-1.0]), "metric_weight"),
        (([0.5], [0.5], [0.0]), "metric_weight"),
        (([0.5], [0.5], [math.nan]), "metric_weight"),
        (([0.5], [0.5], [math.inf]), "metric_weight"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[Any, ...], code: str) -> None:
    with pytest.raises(InputError) as caught:
        Forecasts.of(*arguments)
    assert caught.value.code == code


def test_the_row_at_fault_is_named_and_a_nan_ranks_nowhere() -> None:
    with pytest.raises(InputError, match=r"probability\[1\]: 2.0 is not in"):
        brier_score([0.5, 2.0], [0.0, 1.0])
    with pytest.raises(InputError) as caught:
        area_under_roc([math.nan, 1.0], [0, 1])
    assert caught.value.code == "metric_score"
    with pytest.raises(InputError):
        area_under_roc([0.0, 1.0], [0.5, 1])
