"""Rank correlations against their definitions, pair by pair."""

from __future__ import annotations

import math
import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from librehps.errors import InputError
from librehps.evaluate.rank_correlation import (
    correlation_interval,
    kendall_tau,
    rank_agreement,
    ranking_accuracy,
    spearman_rho,
)

# Imported where the time of one example is not measured: the first import takes seconds.
assert stats

columns = st.integers(2, 12).flatmap(
    lambda size: st.tuples(*[st.lists(st.integers(-3, 3), min_size=size, max_size=size)] * 2)
)


def tau_b(first: list[int], second: list[int]) -> float:
    pairs = list(combinations(range(len(first)), 2))
    one = [np.sign(first[i] - first[j]) for i, j in pairs]
    two = [np.sign(second[i] - second[j]) for i, j in pairs]
    untied = sum(map(abs, one)) * sum(map(abs, two))
    return float(np.dot(one, two) / math.sqrt(untied)) if untied else math.nan


def average_ranks(values: list[int]) -> list[float]:
    return [
        sum(other < value for other in values) + (1 + sum(other == value for other in values)) / 2
        for value in values
    ]


@settings(max_examples=40)
@given(columns=columns)
def test_both_follow_their_definitions(columns: tuple[list[int], list[int]]) -> None:
    first, second = columns
    assert kendall_tau(first, second) == pytest.approx(tau_b(first, second), nan_ok=True)
    if len(set(first)) > 1 and len(set(second)) > 1:
        rho = np.corrcoef(average_ranks(first), average_ranks(second))[0, 1]
        assert spearman_rho(first, second) == pytest.approx(rho)
    else:
        assert math.isnan(spearman_rho(first, second))


@settings(max_examples=40)
@given(columns=columns)
def test_ranking_accuracy_counts_ordered_pairs(columns: tuple[list[int], list[int]]) -> None:
    scores, ranks = columns
    pairs = [(i, j) for i, j in combinations(range(len(ranks)), 2) if ranks[i] != ranks[j]]
    right = [(scores[i] > scores[j]) == (ranks[i] < ranks[j]) for i, j in pairs]
    strict = [ok and scores[i] != scores[j] for ok, (i, j) in zip(right, pairs, strict=True)]
    expected = sum(strict) / len(strict) if strict else math.nan
    assert ranking_accuracy(scores, ranks) == pytest.approx(expected, nan_ok=True)


def test_the_best_rank_is_the_smallest() -> None:
    found = rank_agreement([[3.0, 2.0, 1.0], [1.0, 2.0], [5.0, 5.0]], [[1, 2, 3], [1, 2], [1, 1]])
    assert (found.accuracy, found.kendall, found.num_prompts) == (0.5, 0.0, 3)
    assert found.spearman == pytest.approx(0.0)
    assert math.isnan(rank_agreement([], []).kendall)


def test_columns_must_match() -> None:
    for wrong in (
        lambda: kendall_tau([1.0], [1.0, 2.0]),
        lambda: ranking_accuracy([1.0], [1.0, 2.0]),
        lambda: rank_agreement([[1.0, 2.0]], []),
    ):
        with pytest.raises(InputError) as caught:
            wrong()
        assert caught.value.code == "ranking_shape"


def test_a_long_prompt_takes_no_memory_per_row() -> None:
    values = np.arange(1000) % 7
    prompts = ["x" * 100_000, *map(str, range(999))]
    tracemalloc.start()
    found = correlation_interval(
        kendall_tau, values.astype(float), values[::-1].astype(float), prompts=prompts
    )
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert most < 20e6
