"""Results are finite, ordered, frozen and JSON-safe."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from librehps.errors import ConfigError, InputError
from librehps.results import AXIS_FIELDS, AxisScore, Comparison, Ranking, Score


def overall(mean: float) -> Score:
    return Score(overall=AxisScore(mean, 0.5))


@pytest.mark.parametrize("mean", [math.nan, math.inf, -math.inf])
def test_a_mean_that_is_not_finite_is_refused(mean: float) -> None:
    with pytest.raises(InputError) as caught:
        AxisScore(mean)
    assert caught.value.code == "score_not_finite"


@pytest.mark.parametrize("sigma", [math.nan, math.inf, -0.1])
def test_a_sigma_that_is_no_deviation_is_refused(sigma: float) -> None:
    with pytest.raises(InputError) as caught:
        AxisScore(0.0, sigma)
    assert caught.value.code == "score_not_finite"


def test_a_score_turns_into_json_with_every_axis_named() -> None:
    score = Score(overall=AxisScore(1.5, 0.25), style=AxisScore(-2.0), notes=("n",), trained=False)
    read = json.loads(json.dumps(score.to_dict(), allow_nan=False))
    assert set(read) == {*AXIS_FIELDS, "notes", "trained"}
    assert read["overall"] == {"mean": 1.5, "sigma": 0.25}
    assert read["style"] == {"mean": -2.0, "sigma": None}
    assert read["alignment"] is None
    assert read["notes"] == ["n"]
    assert read["trained"] is False


def test_every_axis_is_found_by_its_own_name() -> None:
    score = Score(*(AxisScore(float(place)) for place in range(5)))
    assert [score.axis(name).mean for name in AXIS_FIELDS] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [getattr(score, name).mean for name in AXIS_FIELDS] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_an_axis_that_was_not_scored_names_those_that_were() -> None:
    with pytest.raises(ConfigError, match="scored: overall") as caught:
        overall(0.0).axis("style")
    assert caught.value.code == "axis_missing"


def test_scores_are_frozen() -> None:
    score = overall(0.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        score.trained = False


@pytest.mark.parametrize(
    ("probability_a", "winner", "probability"),
    [(0.75, "a", 0.75), (0.25, "b", 0.75), (0.5, "tie", 0.5), (0.0, "b", 1.0), (1.0, "a", 1.0)],
)
def test_winner_and_probability_follow_from_probability_a(
    probability_a: float, winner: str, probability: float
) -> None:
    comparison = Comparison(probability_a, overall(1.0), overall(0.0))
    assert (comparison.winner, comparison.probability) == (winner, probability)
    read = json.loads(json.dumps(comparison.to_dict()))
    assert (read["winner"], read["probability_a"], read["axis"]) == (
        winner,
        probability_a,
        "overall",
    )


@pytest.mark.parametrize("value", [math.nan, -0.1, 1.1])
def test_a_comparison_needs_a_probability(value: float) -> None:
    with pytest.raises(InputError) as caught:
        Comparison(value, overall(1.0), overall(0.0))
    assert caught.value.code == "probability_range"


def test_a_ranking_is_best_first_and_ties_keep_their_order() -> None:
    ranking = Ranking.of([overall(1.0), overall(3.0), overall(1.0), overall(2.0), overall(3.0)])
    assert ranking.order == [1, 4, 3, 0, 2]
    assert ranking.best.index == 1
    assert [entry.index for entry in ranking] == ranking.order
    assert (len(ranking), ranking[2].index) == (5, 3)
    assert ranking.to_dict()["entries"][0]["index"] == 1


def test_an_empty_ranking_has_no_best() -> None:
    with pytest.raises(InputError) as caught:
        _ = Ranking.of([]).best
    assert caught.value.code == "ranking_empty"


@given(st.lists(st.floats(-1e6, 1e6), max_size=20))
def test_a_ranking_holds_every_image_once_in_falling_order(means: list[float]) -> None:
    ranking = Ranking.of([overall(mean) for mean in means])
    assert sorted(ranking.order) == list(range(len(means)))
    found = [entry.score.axis("overall").mean for entry in ranking]
    assert found == sorted(means, reverse=True)
