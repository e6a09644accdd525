"""Marks with scores: which score they are held against, and what is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from librehps.evaluate.scored_ratings import ScoredRating, write_ratings
from librehps.results import AxisScore


def rating(marked: str, *axes: str) -> ScoredRating:
    return ScoredRating(
        suite="s",
        global_index=3,
        key="k",
        prompt="p",
        image="a.png",
        marked=marked,
        value=5.0,
        scores={axis: AxisScore(1.5) for axis in axes},
    )


@pytest.mark.parametrize(
    ("marked", "axes", "expected"),
    [
        ("overall", ("overall", "style"), "overall"),
        ("style", ("overall", "style"), "style"),
        # An axis that is not scored is not taken for another one; other dimensions have none.
        ("coherence", ("overall", "style"), None),
        ("amount of detail", ("overall", "style"), "overall"),
        ("amount of detail", ("style",), None),
    ],
)
def test_marks_are_held_against_their_own_axis(
    marked: str, axes: tuple[str, ...], expected: str | None
) -> None:
    assert rating(marked, *axes).judged_by == expected


def test_a_line_for_each(tmp_path: Path) -> None:
    write_ratings(tmp_path / "ratings.jsonl", [rating("style", "style"), rating("overall")])
    first, second = map(json.loads, (tmp_path / "ratings.jsonl").read_text().splitlines())
    assert (first["marked"], first["value"], first["global_index"]) == ("style", 5.0, 3)
    assert first["scores"]["style"]["mean"] == 1.5
    assert second["scores"] == {}
