"""Marks measured: correlations over all pictures, and intervals that draw whole prompts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from librehps.evaluate.rating_measures import measure_ratings
from librehps.evaluate.scored_ratings import ScoredRating
from librehps.results import AxisScore


def rating(place: int, value: float, score: float, marked: str = "overall") -> ScoredRating:
    return ScoredRating(
        suite="s",
        global_index=place,
        key=str(place),
        prompt=f"p{place // 3}",
        image=f"{place}.png",
        marked=marked,
        value=value,
        scores={"overall": AxisScore(score)},
    )


def drawn(count: int, marked: str = "overall") -> list[ScoredRating]:
    rng = np.random.default_rng(0)
    marks = rng.integers(1, 8, count)
    scores = marks + rng.normal(scale=3.0, size=count)
    return [rating(n, float(marks[n]), float(scores[n]), marked) for n in range(count)]


def test_correlations_are_those_of_all_pictures() -> None:
    ratings = drawn(120)
    (found,) = measure_ratings(ratings).values()
    marks = [one.value for one in ratings]
    scores = [one.scores["overall"].mean for one in ratings]
    for interval, expected in (
        (found.kendall, stats.kendalltau(scores, marks).statistic),
        (found.spearman, stats.spearmanr(scores, marks).statistic),
        (found.pearson, stats.pearsonr(scores, marks).statistic),
    ):
        assert interval is not None
        assert interval.value == pytest.approx(float(expected))
        assert interval.low < interval.value < interval.high
        assert interval.num_clusters == 40
    assert (found.judged_by, found.num_ratings, found.num_prompts) == ("overall", 120, 40)
    assert measure_ratings(ratings)["overall"] == found


def test_every_dimension_is_measured_by_itself_if_it_can_be() -> None:
    found = measure_ratings([*drawn(30, "detail"), *drawn(20), *drawn(9, "style")])
    # There is no score for style, and what is overall does not stand in for it.
    assert {name: one.num_ratings for name, one in found.items()} == {"detail": 30, "overall": 20}
    assert found["detail"].judged_by == "overall"


def test_what_is_not_defined_is_said() -> None:
    (constant,) = measure_ratings([rating(n, 4.0, float(n)) for n in range(9)]).values()
    assert (constant.kendall, constant.spearman, constant.pearson) == (None, None, None)
    assert constant.to_dict()["spearman_rho"] is None
    (one_prompt,) = measure_ratings([rating(n, float(n), float(n)) for n in range(3)]).values()
    assert one_prompt.spearman is not None
    assert one_prompt.spearman.value == pytest.approx(1.0)
    assert math.isnan(one_prompt.spearman.low)
    assert one_prompt.to_dict()["spearman_rho"]["low"] is None
    assert measure_ratings([]) == {}
