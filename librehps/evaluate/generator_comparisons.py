"""From scored pictures of generators to comparisons: two are compared on each prompt both have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from librehps.calibration.pairs import Numbers
from librehps.evaluate.outcomes import Outcome
from librehps.results import AxisScore
from librehps.writing import write_lines

__all__ = ["FILE_NAME", "Comparisons", "ScoredPicture", "compare_generators", "write_pictures"]

FILE_NAME = "pictures.jsonl"


@dataclass(frozen=True)
class ScoredPicture:
    """A picture of a generator with its scores.

    Args:
        generator: Whose it is.
        category: Which part of the benchmark it is of.
        prompt: What it should show.
        image: Its file, relative to the benchmark's folder.
        scores: By axis.
    """

    generator: str
    category: str
    prompt: str
    image: str
    scores: dict[str, AxisScore]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {**vars(self), "scores": {name: one.to_dict() for name, one in self.scores.items()}}


def write_pictures(path: Path, pictures: Iterable[ScoredPicture]) -> None:
    """Write a line of JSON for each picture; the file appears whole or not at all.

    All numbers of a leaderboard can be counted again from it.
    """
    write_lines(path, (json.dumps(one.to_dict(), allow_nan=False) + "\n" for one in pictures))


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Comparisons of two generators each; ``M`` of them, of ``G`` generators.

    Args:
        generators: Their names, sorted.
        first: Place of the first generator, below that of the second, ``[M]``.
        second: Place of the second, ``[M]``.
        share: What the first has won, in [0, 1], ``[M]``.
        tied: Share of the pairs of pictures with equal scores, in [0, 1], ``[M]``.
        prompt: A number for each text of a prompt, from 0, ``[M]``. What is drawn for intervals.
        num_prompts: How many such numbers there are, those without a comparison included.
    """

    generators: tuple[str, ...]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    share: Numbers
    tied: Numbers
    prompt: NDArray[np.int64]
    num_prompts: int

    def __len__(self) -> int:
        return len(self.share)

    def wins(self, weight: Numbers | None = None) -> Numbers:
        """Return what each has won against each, ``[G, G]``.

        Args:
            weight: How often each prompt counts, ``[num_prompts]``; once if ``None``.
        """
        count = len(self.generators)
        counted = np.ones(len(self)) if weight is None else weight[self.prompt]
        table = np.zeros(count * count)
        for place, share in (
            (self.first * count + self.second, self.share),
            (self.second * count + self.first, 1.0 - self.share),
        ):
            table += np.bincount(place, weights=share * counted, minlength=count * count)
        return table.reshape(count, count)


def compare_generators(
    pictures: Sequence[ScoredPicture], *, axis: str, outcome: Outcome
) -> Comparisons:
    """Compare every two generators on each prompt of a category that both have pictures for.

    That is one comparison, whatever the number of pictures: where there are several, each of the
    one is judged against each of the other, and the mean counts.

    Args:
        pictures: All of them have the axis.
        axis: The axis that decides.
        outcome: What a pair of pictures counts.
    """
    names = tuple(sorted({picture.generator for picture in pictures}))
    place = {name: number for number, name in enumerate(names)}
    prompts: dict[str, int] = {}
    shown: dict[tuple[str, str], dict[int, list[AxisScore]]] = {}
    for picture in pictures:
        prompts.setdefault(picture.prompt, len(prompts))
        of_prompt = shown.setdefault((picture.category, picture.prompt), {})
        of_prompt.setdefault(place[picture.generator], []).append(picture.scores[axis])
    pairs: list[tuple[int, int, int]] = []
    shares: list[tuple[float, float]] = []
    for (_, prompt), scores in shown.items():
        for one, other in combinations(sorted(scores), 2):
            every = [(a, b) for a in scores[one] for b in scores[other]]
            won = [outcome.share(a, b) for a, b in every]
            equal = [a.mean == b.mean for a, b in every]
            pairs.append((one, other, prompts[prompt]))
            shares.append((sum(won) / len(every), sum(equal) / len(every)))
    first, second, prompt = np.array(pairs, dtype=np.int64).reshape(-1, 3).T
    share, tied = np.array(shares, dtype=np.float64).reshape(-1, 2).T
    return Comparisons(names, first, second, share, tied, prompt, len(prompts))
