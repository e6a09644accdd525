"""Comparisons of a benchmark with the scores of their pictures, a line of JSON for each.

``pairs.jsonl`` of an evaluation has all that its numbers are computed from, so that whoever doubts
one can count again, and a calibrator can be fitted without the pictures.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from librehps.calibration import ScorePairs
from librehps.errors import InputError
from librehps.results import AXIS_FIELDS, AxisScore
from librehps.writing import write_lines

__all__ = ["FILE_NAME", "ScoredPair", "read_scored", "score_pairs", "write_scored"]

FILE_NAME = "pairs.jsonl"
_MAX_BYTES = 4_000_000_000


@dataclass(frozen=True)
class ScoredPair:
    """A comparison with the scores of its two pictures.

    Args:
        suite: Name of the benchmark.
        global_index: Place of its row there.
        for_fitting: Whether it is in the part that calibrators are fitted on.
        key: What identifies it in its data set.
        prompt: What the pictures should show.
        image_a: File of the first, relative to the benchmark's folder.
        image_b: File of the second.
        targets: Share of the votes for the first by axis, in [0, 1], where people were asked.
        votes: How many votes that is, where it is known.
        scores_a: Scores of the first by axis.
        scores_b: Scores of the second.
    """

    suite: str
    global_index: int
    for_fitting: bool
    key: str
    prompt: str
    image_a: str
    image_b: str
    targets: dict[str, float]
    votes: int | None
    scores_a: dict[str, AxisScore]
    scores_b: dict[str, AxisScore]

    def has(self, axis: str) -> bool:
        """Return whether people and the scorer have judged this axis."""
        return axis in self.targets and axis in self.scores_a and axis in self.scores_b

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        scores = {
            name: {axis: score.to_dict() for axis, score in side.items()}
            for name, side in (("scores_a", self.scores_a), ("scores_b", self.scores_b))
        }
        return {**vars(self), **scores}


def score_pairs(pairs: Sequence[ScoredPair], axis: str) -> ScorePairs:
    """Return what calibrators are fitted from: the pairs, all of which have the axis."""
    return ScorePairs.from_scores(
        [pair.scores_a[axis] for pair in pairs],
        [pair.scores_b[axis] for pair in pairs],
        [pair.targets[axis] for pair in pairs],
    )


def write_scored(path: Path, pairs: Iterable[ScoredPair]) -> None:
    """Write a file that :func:`read_scored` gives back; it appears whole or not at all."""
    write_lines(path, (json.dumps(pair.to_dict(), allow_nan=False) + "\n" for pair in pairs))


def read_scored(path: Path) -> list[ScoredPair]:
    """Read what :func:`write_scored` wrote.

    Raises:
        InputError: No such file, or too large a one (code ``data_file``); or a line that is not as
            it was written (``data_row``).
    """
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        raise InputError(
            f"is no file of at most {_MAX_BYTES} bytes: an evaluation writes one",
            code="data_file",
            item=str(path),
        )
    found: list[ScoredPair] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                found.append(_pair(json.loads(line)))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                raise InputError(
                    f"line {number} is not what an evaluation writes ({str(error)[:200]})",
                    code="data_row",
                    item=str(path),
                ) from error
    return found


def _pair(row: dict[str, Any]) -> ScoredPair:
    votes = row["votes"]
    return ScoredPair(
        suite=_text(row, "suite"),
        global_index=int(row["global_index"]),
        for_fitting=bool(row["for_fitting"]),
        key=_text(row, "key"),
        prompt=_text(row, "prompt"),
        image_a=_text(row, "image_a"),
        image_b=_text(row, "image_b"),
        targets={str(axis): float(value) for axis, value in row["targets"].items()},
        votes=None if votes is None else int(votes),
        scores_a=_scores(row["scores_a"]),
        scores_b=_scores(row["scores_b"]),
    )


def _text(row: dict[str, Any], name: str) -> str:
    if not isinstance(row[name], str):
        raise TypeError(f"{name} is no text")
    return row[name]


def _scores(side: dict[str, dict[str, Any]]) -> dict[str, AxisScore]:
    return {
        axis: AxisScore(score["mean"], score["sigma"])
        for axis, score in side.items()
        if axis in AXIS_FIELDS
    }
