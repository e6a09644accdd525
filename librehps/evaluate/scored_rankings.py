"""Rankings of a benchmark with the scores of their pictures, a line of JSON for each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from librehps.evaluate.scored import ScoredPair
from librehps.evaluate.split import turned_round
from librehps.results import AxisScore
from librehps.writing import write_lines

__all__ = ["RANKINGS_FILE", "ScoredRanking", "write_rankings"]

RANKINGS_FILE = "rankings.jsonl"


@dataclass(frozen=True)
class ScoredRanking:
    """A ranking with the scores of its ``N`` pictures.

    Args:
        suite: Name of the benchmark.
        global_index: Place of its row there.
        for_fitting: Whether it is in the part that calibrators are fitted on.
        key: What identifies it in its data set.
        prompt: What the pictures should show.
        images: Their files, relative to the benchmark's folder.
        ranks: What people said of each overall, the smallest the best; equal ranks are ties.
        scores: Scores of each by axis.
    """

    suite: str
    global_index: int
    for_fitting: bool
    key: str
    prompt: str
    images: tuple[str, ...]
    ranks: tuple[float, ...]
    scores: tuple[dict[str, AxisScore], ...]

    def pairs(self) -> list[ScoredPair]:
        """Return all ``N (N - 1) / 2`` pairs, half of them turned round by a hash of their place.

        They are for fitting where the ranking is, so that no picture is on both sides.
        """
        found: list[ScoredPair] = []
        for first, second in combinations(range(len(self.images)), 2):
            name = f"{first}-{second}"
            turned = turned_round(self.global_index, pair=name)
            a, b = (second, first) if turned else (first, second)
            better = (self.ranks[a] < self.ranks[b]) - (self.ranks[a] > self.ranks[b])
            found.append(
                ScoredPair(
                    suite=self.suite,
                    global_index=self.global_index,
                    for_fitting=self.for_fitting,
                    key=f"{self.key}#{name}",
                    prompt=self.prompt,
                    image_a=self.images[a],
                    image_b=self.images[b],
                    targets={"overall": 0.5 + 0.5 * better},
                    votes=None,
                    scores_a=self.scores[a],
                    scores_b=self.scores[b],
                )
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        scores = [{axis: one.to_dict() for axis, one in each.items()} for each in self.scores]
        return {**vars(self), "scores": scores}


def write_rankings(path: Path, rankings: Iterable[ScoredRanking]) -> None:
    """Write a line for each ranking; the file appears whole or not at all."""
    write_lines(path, (json.dumps(one.to_dict(), allow_nan=False) + "\n" for one in rankings))
