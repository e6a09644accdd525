"""Pairs are checked as they are built, and turning them round changes nothing that they say."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from librehps.calibration import ScorePairs
from librehps.calibration.pairs import column
from librehps.errors import InputError
from librehps.results import AxisScore


def test_differences_and_spreads_are_those_of_the_scores() -> None:
    pairs = ScorePairs.of([3, 1], [1, 4], [1, 0.25], sigma_a=[3, 0], sigma_b=[4, 2], weight=[1, 2])
    assert pairs.difference.tolist() == [2.0, -3.0]
    assert pairs.target.tolist() == [1.0, 0.25]
    assert pairs.weight.tolist() == [1.0, 2.0]
    assert pairs.spread is not None
    assert pairs.spread.tolist() == [5.0, 2.0]
    assert len(pairs) == 2


def test_scores_as_the_scorer_returns_them_are_taken() -> None:
    a, b = [AxisScore(1.0, 3.0), AxisScore(2.0, 0.5)], [AxisScore(0.0, 4.0), AxisScore(2.5, 0.0)]
    pairs = ScorePairs.from_scores(a, b, [0.5, 1.0])
    assert pairs.difference.tolist() == [1.0, -0.5]
    assert pairs.spread is not None
    assert pairs.spread.tolist() == [5.0, 0.5]
    assert pairs.num_ties == 1
    without = ScorePairs.from_scores([*a, AxisScore(1.0)], [*b, AxisScore(0.0, 1.0)], [1, 1, 0])
    assert without.spread is None


@pytest.mark.parametrize(
    ("build", "code", "words"),
    [
        (lambda: ScorePairs.of([1.0], [1.0, 2.0], [1.0]), "calibration_shape", "mean_b has 2"),
        (lambda: ScorePairs.of([1.0], [1.0], [1.0, 0.0]), "calibration_shape", "target has shape"),
        (
            lambda: ScorePairs.of(np.ones((1, 1)), [1.0], [1.0]),
            "calibration_shape",
            "one dimension",
        ),
        (lambda: ScorePairs.of(np.array(["x"]), [1.0], [1.0]), "calibration_shape", "no column"),
        (
            lambda: ScorePairs.of([0.0, math.nan], [0.0, 0.0], [1.0, 1.0]),
            "calibration_not_finite",
            r"pairs\[1\]: difference must be finite, but this one is nan",
        ),
        (
            lambda: ScorePairs.of([1.7e308], [-1.7e308], [1.0]),
            "calibration_not_finite",
            "inf",
        ),
        (
            lambda: ScorePairs.of([math.inf], [math.inf], [1.0]),
            "calibration_not_finite",
            "nan",
        ),
        (lambda: ScorePairs.of([1.0], [0.0], [math.nan]), "calibration_not_finite", "target"),
        (lambda: ScorePairs.of([1.0], [0.0], [1.01]), "calibration_target", "share of votes"),
        (lambda: ScorePairs.of([1.0], [0.0], [-0.01]), "calibration_target", "share of votes"),
        (lambda: ScorePairs.of([1.0], [0.0], [1], weight=[-1]), "calibration_weight", "negative"),
        (lambda: ScorePairs.of([1.0], [0.0], [1], weight=[0]), "calibration_weight", "above 0"),
        (
            lambda: ScorePairs.of([1, 1], [0, 0], [1, 1], weight=[1.5e308, 1.5e308]),
            "calibration_weight",
            "inf",
        ),
        (lambda: ScorePairs.of([1.0], [0.0], [1], sigma_a=[1]), "calibration_sigma", "neither"),
        (
            lambda: ScorePairs.of([1.0], [0.0], [1], sigma_a=[1], sigma_b=[-1]),
            "calibration_sigma",
            "sigma_b is not negative",
        ),
        (
            lambda: ScorePairs.of([1.0], [0.0], [1], sigma_a=[1], sigma_b=[math.nan]),
            "calibration_not_finite",
            "spread",
        ),
        (
            lambda: ScorePairs.of([1.0], [0.0], [1], sigma_a=[1.7e308], sigma_b=[1.7e308]),
            "calibration_not_finite",
            "spread",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(build: Callable[[], object], code: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        build()
    assert caught.value.code == code


numbers = st.floats(-1e6, 1e6)
rows = st.lists(st.tuples(numbers, numbers, st.floats(0, 1)), min_size=1, max_size=20)


@given(rows, st.integers(0, 5))
def test_turning_pairs_round_keeps_what_they_say(rows: list[Any], seed: int) -> None:
    pairs = ScorePairs.of(*(np.array(part) for part in zip(*rows, strict=True)))

    def said(some: ScorePairs) -> list[tuple[float, float]]:
        turned = some.difference < 0.0
        return list(
            zip(
                np.abs(some.difference).tolist(),
                np.where(turned, 1.0 - some.target, some.target).tolist(),
                strict=True,
            )
        )

    assert said(pairs.folded()) == said(pairs)
    assert (pairs.folded().difference >= 0.0).all()
    shuffled = pairs.with_random_sides(seed)
    assert np.abs(shuffled.difference).tolist() == np.abs(pairs.difference).tolist()
    kept = shuffled.difference == pairs.difference
    expected = np.where(kept, pairs.target, 1.0 - pairs.target)
    tied = pairs.difference == 0.0
    assert (shuffled.target == expected)[~tied].all()


def test_sides_are_turned_for_about_half_and_by_the_seed_alone() -> None:
    pairs = ScorePairs.of(np.ones(4000), np.zeros(4000), np.ones(4000))
    turned = pairs.with_random_sides(3)
    assert 0.47 < (turned.difference < 0.0).mean() < 0.53
    assert ((turned.difference < 0.0) == (turned.target == 0.0)).all()
    assert turned.difference.tolist() == pairs.with_random_sides(3).difference.tolist()
    assert turned.difference.tolist() != pairs.with_random_sides(4).difference.tolist()


def test_sets_are_joined_and_rows_are_taken() -> None:
    one = ScorePairs.of([1, 2], [0, 0], [1, 0], sigma_a=[1, 1], sigma_b=[0, 0], weight=[1, 3])
    two = ScorePairs.of([5], [0], [0.5])
    both = ScorePairs.joined([one, two])
    assert both.difference.tolist() == [1.0, 2.0, 5.0]
    assert both.weight.tolist() == [1.0, 3.0, 1.0]
    assert both.spread is None
    twice = ScorePairs.joined([one, one])
    assert twice.spread is not None
    assert twice.spread.tolist() == [1.0] * 4
    assert one.take(np.array([1])).target.tolist() == [0.0]
    assert len(ScorePairs.joined([])) == 0


def test_a_column_is_float64() -> None:
    assert column(np.array([1, 2], dtype=np.int8)).dtype == np.float64
