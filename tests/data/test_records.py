from __future__ import annotations

from inspect import unwrap
from pathlib import Path
from typing import Any

import pytest

from librehps.data import Comparison, Ranking, Rating
from librehps.errors import InputError

A, B, C = Path("a.png"), Path("b.png"), Path("c.png")
GOOD = {"prompt": "a cat", "image_a": A, "image_b": B, "target": 0.7, "key": "k"}


def made(kind: type, **fields: Any) -> None:
    """Make a record as it is made in use: types are checked in tests only."""
    unwrap(kind.__init__)(object.__new__(kind), **fields)


def test_swapping_turns_everything_round() -> None:
    whole = Comparison(
        **GOOD, axis_targets={"style": 0.25}, votes=10, confidence=0.9, model_a="x", model_b="y"
    )
    other = whole.swapped()
    assert (other.image_a, other.image_b, other.model_a, other.model_b) == (B, A, "y", "x")
    assert other.target == pytest.approx(0.3)
    assert other.axis_targets == {"style": 0.75}
    assert (other.votes, other.confidence, other.key) == (10, 0.9, "k")
    assert Comparison(**GOOD | {"target": 0.25}).swapped().swapped().target == 0.25


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"target": 1.1}, "record_value"),
        ({"target": -0.1}, "record_value"),
        ({"target": float("nan")}, "record_value"),
        ({"target": "x"}, "record_value"),
        ({"target": None}, "record_value"),
        ({"axis_targets": {"style": 2.0}}, "record_value"),
        ({"axis_targets": {"style": "1"}}, "record_value"),
        ({"axis_targets": {"aligment": 1.0}}, "record_value"),
        ({"axis_targets": {"beauty": 1.0}}, "record_value"),
        ({"votes": "5"}, "record_value"),
        ({"votes": 10**400}, "record_value"),
        ({"confidence": "sure"}, "record_value"),
        ({"prompt": None}, "record_prompt"),
        ({"prompt": b"a cat"}, "record_prompt"),
        ({"votes": 0}, "record_value"),
        ({"confidence": -1.0}, "record_value"),
        ({"confidence": float("inf")}, "record_value"),
        ({"prompt": " \n"}, "record_prompt"),
        ({"prompt": "a \ud800 cat"}, "record_prompt"),
    ],
)
def test_a_comparison_that_makes_no_sense_is_refused(change: dict, code: str) -> None:
    with pytest.raises(InputError) as caught:
        made(Comparison, **GOOD | change)
    assert (caught.value.code, caught.value.item) == (code, "k")


def test_a_misspelt_axis_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match="names 'aligment'; did you mean 'alignment'"):
        Comparison(**GOOD, axis_targets={"aligment": 1.0})


def test_a_ranking_is_all_its_pairs() -> None:
    ranking = Ranking(
        prompt="p", images=(A, B, C), ranks=(1.0, 0.0, 1.0), key="r", models=("x", "y", "z")
    )
    pairs = {(c.image_a, c.image_b): c for c in ranking.comparisons()}
    assert {key: c.target for key, c in pairs.items()} == {(A, B): 0.0, (A, C): 0.5, (B, C): 1.0}
    assert (pairs[B, C].model_a, pairs[B, C].model_b) == ("y", "z")
    assert len({c.key for c in pairs.values()}) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"images": (A,), "ranks": (0.0,)},
        {"ranks": (0.0, 1.0)},
        {"ranks": (0.0, float("nan"), 1.0)},
        {"ranks": ("a", "b", "c")},
        {"ranks": (10**400, 0.0, 1.0)},
        {"models": ("x",)},
    ],
)
def test_a_ranking_that_makes_no_sense_is_refused(change: dict) -> None:
    with pytest.raises(InputError) as caught:
        made(
            Ranking,
            **{"prompt": "p", "images": (A, B, C), "ranks": (0.0, 1.0, 2.0), "key": "r"} | change,
        )
    assert (caught.value.code, caught.value.item) == ("record_value", "r")


def test_a_mark_is_a_number() -> None:
    assert Rating(prompt="p", image=A, value=3.5).axis == "overall"
    for value in (float("inf"), None, "good", 10**400):
        with pytest.raises(InputError, match="finite") as caught:
            made(Rating, prompt="p", image=A, value=value, key="m")
        assert (caught.value.code, caught.value.item) == ("record_value", "m")
