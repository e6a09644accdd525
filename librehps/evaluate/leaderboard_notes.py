"""What must be said beside a ranking of generators, so that it is not read for more than it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from librehps.evaluate.generator_comparisons import ScoredPicture
from librehps.evaluate.generator_measures import GeneratorMeasure

__all__ = ["ranking_notes"]

# Names that a sentence holds; reports have all of them.
_MOST_NAMED = 6


def ranking_notes(
    measures: Sequence[GeneratorMeasure],
    pictures: Sequence[ScoredPicture],
    *,
    wanted: Iterable[str],
) -> list[str]:
    """Return sentences on what keeps generators from being compared; none where all is well.

    Args:
        measures: In the order of the ranking.
        pictures: With their scores.
        wanted: Names of all generators in the data.
    """
    notes: list[str] = []
    gone = sorted(set(wanted) - {one.name for one in measures})
    if gone:
        notes.append(f"No picture of {_named(gone)} has a score: left out")
    notes += _prompts(measures, pictures)
    if len(measures) == 1:
        notes.append("There is one generator: nothing is compared, so there is no strength")
        return notes
    alone = [one.name for one in measures if one.rank is None]
    if alone:
        notes.append(
            f"{_named(alone)} cannot be ranked: no other generator has a picture for a prompt of "
            "theirs"
        )
    groups: dict[int, list[GeneratorMeasure]] = {}
    for one in measures:
        if one.rank is not None:
            groups.setdefault(one.group, []).append(one)
    if len(groups) > 1:
        said = "; ".join(_named([one.name for one in some]) for some in groups.values())
        notes.append(
            f"Comparisons link only these with each other: {said}. Each group has ranks and a "
            "scale of its own, and nothing compares one group with another"
        )
    for some in groups.values():
        highest = max(one.tier for one in some)
        if highest > 1:
            parts = [
                _named([one.name for one in some if one.tier == tier])
                for tier in range(1, highest + 1)
            ]
            notes.append(
                f"Between {' | '.join(parts)} all comparisons have gone one way. However far apart "
                "they were, that would have been so: their distance has no bound, and the one that "
                "is shown is held by the drawn game that every generator is given"
            )
    if any(one.rank is not None and one.rank_low is None for one in measures):
        notes.append("All comparisons are on one prompt: there are no intervals")
    return notes


def _prompts(measures: Sequence[GeneratorMeasure], pictures: Sequence[ScoredPicture]) -> list[str]:
    shown: dict[str, set[tuple[str, str]]] = {}
    for picture in pictures:
        shown.setdefault(picture.generator, set()).add((picture.category, picture.prompt))
    every, common = set[tuple[str, str]]().union(*shown.values()), set.intersection(*shown.values())
    if every == common:
        return []
    few = min(measures, key=lambda one: (one.num_prompts, one.name))
    return [
        f"Not all generators have scores for the same prompts: {len(common)} of {len(every)} "
        f"prompts are common to all, and {few.name} has {few.num_prompts}. Means are of different "
        "prompts and do not compare; the ranking compares two on the prompts that both have"
    ]


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"
