"""Marks that people gave single pictures, with the scores of those, a line of JSON for each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from librehps.results import AXIS_FIELDS, AxisScore
from librehps.writing import write_lines

__all__ = ["RATINGS_FILE", "ScoredRating", "write_ratings"]

RATINGS_FILE = "ratings.jsonl"


@dataclass(frozen=True)
class ScoredRating:
    """A mark with the scores of its picture.

    Args:
        suite: Name of the benchmark.
        global_index: Place of its row there.
        key: What identifies it in its data set.
        prompt: What the picture should show.
        image: Its file, relative to the benchmark's folder.
        marked: What people were asked about: an axis, or a dimension of the data set's own.
        value: The mark, in the data set's unit, higher is better.
        scores: Scores by axis.
    """

    suite: str
    global_index: int
    key: str
    prompt: str
    image: str
    marked: str
    value: float
    scores: dict[str, AxisScore]

    @property
    def judged_by(self) -> str | None:
        """The axis whose score the mark is held against; ``None`` where there is none.

        A dimension that no axis is called by is held against the score overall.
        """
        axis = self.marked if self.marked in AXIS_FIELDS else "overall"
        return axis if axis in self.scores else None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {**vars(self), "scores": {name: one.to_dict() for name, one in self.scores.items()}}


def write_ratings(path: Path, ratings: Iterable[ScoredRating]) -> None:
    """Write a line for each mark; the file appears whole or not at all."""
    write_lines(path, (json.dumps(one.to_dict(), allow_nan=False) + "\n" for one in ratings))
