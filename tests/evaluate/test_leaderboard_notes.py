"""What is said beside a ranking: each thing that limits it, and nothing where nothing does."""

from __future__ import annotations

from collections.abc import Iterable

from librehps.evaluate.generator_comparisons import ScoredPicture, compare_generators
from librehps.evaluate.generator_measures import measure_generators
from librehps.evaluate.leaderboard_notes import ranking_notes
from librehps.evaluate.outcomes import make_outcome
from librehps.results import AxisScore


def notes(scores: dict[str, dict[str, float]], *, also: Iterable[str] = ()) -> list[str]:
    pictures = [
        ScoredPicture(name, "x", prompt, f"{name}/{prompt}.png", {"overall": AxisScore(mean)})
        for name, means in scores.items()
        for prompt, mean in means.items()
    ]
    comparisons = compare_generators(pictures, axis="overall", outcome=make_outcome("higher"))
    measures = measure_generators(pictures, comparisons, axis="overall", resamples=9)
    return ranking_notes(measures, pictures, wanted=[*scores, *also])


def test_nothing_is_said_where_nothing_limits_it() -> None:
    assert notes({"a": {"p": 1.0, "q": 0.0}, "b": {"p": 0.0, "q": 1.0}}) == []


def test_one_generator_alone() -> None:
    (said,) = notes({"a": {"p": 1.0}})
    assert "nothing is compared" in said


def test_one_without_a_score() -> None:
    said = notes({"a": {"p": 1.0, "q": 0.0}, "b": {"p": 0.0, "q": 1.0}}, also=["c"])
    assert said == ["No picture of c has a score: left out"]


def test_different_prompts() -> None:
    (said,) = notes({"a": {"p": 1.0, "q": 0.0, "r": 1.0}, "b": {"p": 0.0, "q": 1.0}})
    assert "2 of 3 prompts are common to all, and b has 2" in said


def test_groups_that_nothing_links() -> None:
    left = {"a": {"p": 1.0, "q": 0.0}, "b": {"p": 0.0, "q": 1.0}}
    right = {"c": {"r": 1.0, "s": 0.0}, "d": {"r": 0.0, "s": 1.0}}
    prompts, groups = notes(left | right)
    assert "0 of 4 prompts" in prompts
    assert "Comparisons link only these with each other: a, b; c, d" in groups
    *_, alone = notes(left | {"e": {"t": 1.0}})
    assert alone.startswith("e cannot be ranked")


def test_one_that_wins_everything() -> None:
    scores = {"a": {"p": 1.0, "q": 0.0}, "b": {"p": 0.0, "q": 1.0}, "c": {"p": 9.0, "q": 9.0}}
    (said,) = notes(scores)
    assert said.startswith("Between c | a, b all comparisons have gone one way")
    assert "no bound" in said


def test_one_prompt() -> None:
    said = notes({"a": {"p": 1.0}, "b": {"p": 1.0}})
    assert said == ["All comparisons are on one prompt: there are no intervals"]


def test_a_sentence_does_not_grow_with_the_data() -> None:
    every = {f"g{place:03}": {"p": float(place), "q": float(place)} for place in range(100)}
    (said,) = notes({name: means for name, means in every.items() if name < "g012"})
    assert len(said) < 1000
    (said,) = notes({"a": {"p": 1.0, "q": 1.0}, "b": {"p": 1.0, "q": 1.0}}, also=every)
    assert said.endswith("and 94 more has a score: left out")
