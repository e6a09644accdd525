"""Measures of generators: means and strengths by hand, and how often intervals hold the truth."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from librehps.evaluate.bradley_terry import fit_bradley_terry
from librehps.evaluate.generator_comparisons import Comparisons, ScoredPicture, compare_generators
from librehps.evaluate.generator_measures import (
    GeneratorMeasure,
    measure_generators,
    measure_pairs,
)
from librehps.evaluate.outcomes import make_outcome
from librehps.results import AxisScore


def pictures_of(
    scores: Mapping[str, NDArray[np.float64]], *, categories: int = 1
) -> list[ScoredPicture]:
    """Return a picture for each score; NaN is none. Prompts are shared by their number."""
    return [
        ScoredPicture(
            name,
            f"c{place % categories}",
            f"p{place}",
            f"{name}/{place}.png",
            {"overall": AxisScore(float(mean))},
        )
        for name, means in scores.items()
        for place, mean in enumerate(means)
        if not math.isnan(mean)
    ]


def measured(
    pictures: list[ScoredPicture], *, resamples: int = 50
) -> tuple[list[GeneratorMeasure], Comparisons]:
    comparisons = compare_generators(pictures, axis="overall", outcome=make_outcome("higher"))
    found = measure_generators(pictures, comparisons, axis="overall", resamples=resamples)
    return found, comparisons


def drawn(truth: Mapping[str, float], count: int, *, seed: int) -> dict[str, NDArray[np.float64]]:
    """Scores of which one is above another with the probability of Bradley and Terry.

    Every prompt is easier or harder for all of them; comparisons of a prompt share their pictures.
    """
    rng = np.random.default_rng(seed)
    prompt = 2.0 * rng.normal(size=count)
    return {name: prompt + value + rng.gumbel(size=count) for name, value in truth.items()}


def test_numbers_by_hand() -> None:
    scores = {"weak": np.array([0.0, 1.0, 2.0]), "strong": np.array([3.0, 1.0, math.nan])}
    found, comparisons = measured(pictures_of(scores, categories=2))
    strong, weak = found
    assert [one.name for one in found] == ["strong", "weak"]
    assert (strong.num_pictures, strong.num_prompts, strong.num_comparisons) == (2, 2, 2)
    assert (weak.num_pictures, weak.num_prompts, weak.num_comparisons) == (3, 3, 2)
    assert strong.mean.value == 2.0
    assert weak.mean.value == 1.0
    assert strong.won is not None
    assert weak.won is not None
    # One win and one tie.
    assert (strong.won.value, weak.won.value) == (0.75, 0.25)
    assert {name: one.value for name, one in weak.categories.items()} == {"c0": 1.0, "c1": 1.0}
    assert weak.mean_of_categories == 1.0
    assert strong.mean_of_categories == pytest.approx(2.0)
    assert strong.strength is not None
    expected = fit_bradley_terry(np.array([[0.0, 1.5], [0.5, 0.0]]))
    assert strong.strength.value == pytest.approx(expected[0])
    assert (strong.rank, weak.rank, strong.group, weak.group) == (1, 2, 1, 1)
    (pair,) = measure_pairs(comparisons)
    assert vars(pair) == {
        "first": "strong",
        "second": "weak",
        "num_comparisons": 2,
        "won": 0.75,
        "tied": 0.5,
    }


def test_a_truth_is_recovered_with_its_order() -> None:
    truth = {"a": -1.0, "b": 0.2, "c": 1.3, "d": -0.5}
    found, _ = measured(pictures_of(drawn(truth, 4000, seed=3)))
    assert [one.name for one in found] == ["c", "b", "d", "a"]
    for one in found:
        assert one.strength is not None
        assert one.strength.value == pytest.approx(truth[one.name], abs=0.12)
        assert one.strength.low < one.strength.value < one.strength.high
        assert (one.rank, one.rank_low, one.rank_high) == (one.rank,) * 3


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    truth = {"a": 0.8, "b": 0.0, "c": -0.8}
    inside: list[bool] = []
    widths: list[float] = []
    for seed in range(32):
        found, _ = measured(pictures_of(drawn(truth, 30, seed=seed)), resamples=99)
        for one in found:
            assert one.strength is not None
            inside.append(one.strength.low <= truth[one.name] <= one.strength.high)
            widths.append(one.strength.high - one.strength.low)
    # 96 intervals, three of each draw, which are not independent.
    assert 0.87 <= np.mean(inside) <= 0.995
    # Nor are they that good by being wide: the strengths differ by more.
    assert np.median(widths) < 1.1


def test_pictures_of_a_prompt_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    once = drawn({"a": 0.5, "b": 0.0}, 60, seed=1)
    # The same prompts over and over, in other categories, say nothing new.
    pictures = pictures_of(once)
    again = [
        ScoredPicture(one.generator, f"again{part}", one.prompt, one.image, one.scores)
        for one in pictures
        for part in range(9)
    ]
    (first, _), _ = measured(pictures)
    (many, _), _ = measured(pictures + again)
    assert first.strength is not None
    assert many.strength is not None
    width = first.strength.high - first.strength.low
    # Ten times the comparisons and as wide, but for the drawn games, which weigh less.
    assert many.strength.high - many.strength.low == pytest.approx(width, rel=0.1)
    # Nor do the pictures or the shares won say more of the generator.
    for one, other in ((first.mean, many.mean), (first.won, many.won)):
        assert one is not None
        assert other is not None
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.05)
    fresh = pictures_of(drawn({"a": 0.5, "b": 0.0}, 600, seed=int(rng.integers(99))))
    (other, _), _ = measured(fresh)
    assert other.strength is not None
    assert other.strength.high - other.strength.low < 0.5 * width


def test_one_that_wins_everything_is_finite_and_in_a_tier_of_its_own() -> None:
    scores = drawn({"b": 0.3, "c": 0.0}, 30, seed=2) | {"a": np.full(30, 99.0)}
    found, _ = measured(pictures_of(scores))
    assert found[0].name == "a"
    assert [one.tier for one in found] == [1, 2, 2]
    strength = found[0].strength
    assert strength is not None
    assert found[0].won is not None
    assert found[0].won.value == 1.0
    assert all(math.isfinite(end) for end in (strength.value, strength.low, strength.high))


def test_groups_have_ranks_of_their_own_and_one_alone_has_none() -> None:
    nothing = [math.nan] * 10
    left, right = drawn({"a": 1.0, "b": 0.0}, 10, seed=5), drawn({"c": 0.0, "d": 1.0}, 10, seed=6)
    scores = {name: np.array([*means, *nothing, math.nan]) for name, means in left.items()}
    scores |= {name: np.array([*nothing, *means, math.nan]) for name, means in right.items()}
    scores["e"] = np.array([*nothing, *nothing, 50.0])
    found, comparisons = measured(pictures_of(scores))
    assert [(one.group, one.rank) for one in found] == [(1, 1), (1, 2), (2, 1), (2, 2), (3, None)]
    alone = found[-1]
    assert (alone.name, alone.strength, alone.won, alone.num_comparisons) == ("e", None, None, 0)
    for group in (1, 2):
        values = [one.strength.value for one in found if one.group == group and one.strength]
        assert sum(values) == pytest.approx(0.0, abs=1e-9)
    assert {(pair.first, pair.second) for pair in measure_pairs(comparisons)} == {
        ("a", "b"),
        ("c", "d"),
    }


def test_from_one_prompt_there_is_no_interval() -> None:
    found, _ = measured(pictures_of({"a": np.array([1.0]), "b": np.array([0.0])}))
    for one in found:
        assert one.strength is not None
        assert math.isnan(one.strength.low)
        assert (one.rank_low, one.rank_high) == (None, None)
        document = json.loads(json.dumps(one.to_dict(), allow_nan=False))
        assert document["strength"]["low"] is None
        assert document["mean"]["high"] is None


def test_one_generator_has_means_only() -> None:
    (one,), comparisons = measured(pictures_of({"a": np.arange(6.0)}, categories=2))
    assert one.mean.value == 2.5
    assert one.mean.low < 2.5 < one.mean.high
    assert (one.strength, one.won, one.rank) == (None, None, None)
    assert measure_pairs(comparisons) == []


def test_ties_share_the_better_place() -> None:
    same = np.arange(5.0)
    found, _ = measured(pictures_of({"b": same, "a": same, "c": same - 1.0}))
    assert [(one.name, one.rank) for one in found] == [("a", 1), ("b", 1), ("c", 3)]


def test_a_category_that_one_lacks_leaves_no_mean_of_categories() -> None:
    scores = {"a": np.arange(4.0), "b": np.array([0.0, math.nan, 1.0, math.nan])}
    found, _ = measured(pictures_of(scores, categories=2))
    means = {one.name: one.mean_of_categories for one in found}
    assert means["a"] == 1.5
    assert math.isnan(means["b"])
    assert found[0].to_dict()["mean_of_categories"] in (None, 1.5)


def test_the_same_data_give_the_same_numbers() -> None:
    pictures = pictures_of(drawn({"a": 0.5, "b": 0.0, "c": 0.1}, 20, seed=4))
    assert measured(pictures)[0] == measured(pictures)[0]
