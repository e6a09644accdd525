"""What is measured of generators: mean scores, how much they win, and a ranking with intervals.

Intervals draw whole prompts: the pictures that generators made for one prompt come together, and so
do the comparisons of them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from librehps.calibration import Interval, bootstrap, bootstrap_mean
from librehps.calibration.bootstrap import Rows
from librehps.calibration.pairs import Numbers
from librehps.evaluate.bradley_terry import connected_groups, fit_bradley_terry, tiers
from librehps.evaluate.generator_comparisons import Comparisons, ScoredPicture
from librehps.evaluate.measures import interval_dict

__all__ = ["GeneratorMeasure", "PairMeasure", "measure_generators", "measure_pairs"]

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class GeneratorMeasure:
    """What was measured of a generator.

    Args:
        name: Its name.
        num_pictures: Pictures with a score.
        num_prompts: Prompts of those; the same text in two categories is two.
        mean: Mean score of the pictures, with its interval.
        mean_of_categories: Mean of the categories' means, each counted once; NaN where it has no
            picture in one that others have.
        categories: Mean score by category, with its interval.
        num_comparisons: Comparisons with others.
        won: Share of those that it has won, with its interval; ``None`` where there is none.
        strength: In log-odds, with its interval; ``None`` where there is no comparison.
        group: Number of the generators that it is linked to by comparisons, from 1.
        tier: Number of its tier in that group, from 1, the strongest; more than one tier means
            that strengths are held by the prior between them.
        rank: Place in the group, from 1; ``None`` where there is no comparison.
        rank_low: Best place within the interval; ``None`` where it is not known.
        rank_high: Worst place within the interval.
    """

    name: str
    num_pictures: int
    num_prompts: int
    mean: Interval
    mean_of_categories: float
    categories: Mapping[str, Interval]
    num_comparisons: int
    won: Interval | None
    strength: Interval | None
    group: int
    tier: int
    rank: int | None
    rank_low: int | None
    rank_high: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data; what is not known is ``None``."""
        mean = self.mean_of_categories
        return {
            **vars(self),
            "mean": interval_dict(self.mean),
            "mean_of_categories": None if math.isnan(mean) else mean,
            "categories": {name: interval_dict(one) for name, one in self.categories.items()},
            "won": None if self.won is None else interval_dict(self.won),
            "strength": None if self.strength is None else interval_dict(self.strength),
        }


@dataclass(frozen=True)
class PairMeasure:
    """What two generators have won against each other.

    Args:
        first: Name of the one.
        second: Name of the other.
        num_comparisons: Prompts that both have pictures for.
        won: Share that the first has won, in [0, 1].
        tied: Share with equal scores, in [0, 1].
    """

    first: str
    second: str
    num_comparisons: int
    won: float
    tied: float


@dataclass(frozen=True, eq=False)
class _Strengths:
    """Strengths with what is known of them, each ``[G]``; ends are NaN where they are not."""

    value: Numbers
    low: Numbers
    high: Numbers
    group: NDArray[np.int64]
    tier: NDArray[np.int64]
    rank: NDArray[np.int64]
    rank_low: Numbers
    rank_high: Numbers


def measure_generators(
    pictures: Sequence[ScoredPicture],
    comparisons: Comparisons,
    *,
    axis: str,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[GeneratorMeasure]:
    """Measure every generator; the best first, group by group, the largest group first.

    Args:
        pictures: At least one; all have the axis.
        comparisons: Of those, see
            :func:`~librehps.evaluate.generator_comparisons.compare_generators`.
        axis: The axis that is measured.
        resamples: How often prompts are drawn.
        seed: Of the draws.
    """
    categories = sorted({picture.category for picture in pictures})
    strengths = _strengths(comparisons, resamples=resamples, seed=seed)
    found: list[GeneratorMeasure] = []
    for place, name in enumerate(comparisons.generators):
        own = [picture for picture in pictures if picture.generator == name]
        of_category = {
            category: _mean(some, axis, resamples, seed)
            for category in categories
            if (some := [picture for picture in own if picture.category == category])
        }
        means = [one.value for one in of_category.values()]
        first, second = comparisons.first == place, comparisons.second == place
        won = np.concatenate([comparisons.share[first], 1.0 - comparisons.share[second]])
        prompts = np.concatenate([comparisons.prompt[first], comparisons.prompt[second]])
        strength = Interval(
            float(strengths.value[place]),
            float(strengths.low[place]),
            float(strengths.high[place]),
            len(won),
            len(np.unique(prompts)),
            LEVEL,
        )
        known = len(won) > 0
        ranked = known and not math.isnan(strength.low)
        found.append(
            GeneratorMeasure(
                name=name,
                num_pictures=len(own),
                num_prompts=len({(picture.category, picture.prompt) for picture in own}),
                mean=_mean(own, axis, resamples, seed),
                mean_of_categories=(
                    sum(means) / len(means) if len(means) == len(categories) else math.nan
                ),
                categories=of_category,
                num_comparisons=len(won),
                won=_interval(won, prompts.tolist(), resamples, seed) if known else None,
                strength=strength if known else None,
                group=int(strengths.group[place]),
                tier=int(strengths.tier[place]),
                rank=int(strengths.rank[place]) if known else None,
                rank_low=int(strengths.rank_low[place]) if ranked else None,
                rank_high=int(strengths.rank_high[place]) if ranked else None,
            )
        )
    return _in_order(found)


def measure_pairs(comparisons: Comparisons) -> list[PairMeasure]:
    """Return what every two generators that were compared have won against each other."""
    names = comparisons.generators
    place = comparisons.first * len(names) + comparisons.second
    found: list[PairMeasure] = []
    for one in np.unique(place).tolist():
        some = place == one
        found.append(
            PairMeasure(
                first=names[one // len(names)],
                second=names[one % len(names)],
                num_comparisons=int(some.sum()),
                won=float(comparisons.share[some].mean()),
                tied=float(comparisons.tied[some].mean()),
            )
        )
    return found


def _strengths(comparisons: Comparisons, *, resamples: int, seed: int) -> _Strengths:
    """Return strengths and places in the ranking, with intervals over prompts that are drawn."""
    wins = comparisons.wins()
    group = connected_groups(wins)
    value = fit_bradley_terry(wins)
    rank = _ranks(value, group)
    low, high, rank_low, rank_high = np.full((4, len(value)), math.nan)
    compared = np.unique(comparisons.prompt)
    fitted: dict[bytes, tuple[Numbers, NDArray[np.int64]]] = {}

    def fit(drawn: Rows) -> tuple[Numbers, NDArray[np.int64]]:
        # The draws for one generator are those for another, by the seed: each is fitted once.
        key = hashlib.sha256(drawn.tobytes()).digest()
        if key not in fitted:
            weight = np.bincount(compared[drawn], minlength=comparisons.num_prompts)
            found = fit_bradley_terry(comparisons.wins(weight.astype(np.float64)))
            # A draw may lack what links two: the scale is that of all prompts.
            found = found - (np.bincount(group, weights=found) / np.bincount(group))[group]
            fitted[key] = found, _ranks(found, group)
        return fitted[key]

    if len(compared) > 1:
        for place in range(len(value)):

            def strength(drawn: Rows, place: int = place) -> float:
                return float(fit(drawn)[0][place])

            def of_rank(drawn: Rows, place: int = place) -> float:
                return float(fit(drawn)[1][place])

            ends = bootstrap(strength, len(compared), resamples=resamples, level=LEVEL, seed=seed)
            low[place], high[place] = ends.low, ends.high
            places = bootstrap(of_rank, len(compared), resamples=resamples, level=LEVEL, seed=seed)
            rank_low[place], rank_high[place] = math.floor(places.low), math.ceil(places.high)
    return _Strengths(
        value=value,
        low=low,
        high=high,
        group=group,
        tier=_tier_numbers(tiers(wins), group, rank),
        rank=rank,
        rank_low=rank_low,
        rank_high=rank_high,
    )


def _ranks(strength: Numbers, group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place of each in its group, from 1; equal strengths share the better place."""
    stronger = strength[None, :] > strength[:, None]
    return (stronger & (group[None, :] == group[:, None])).sum(axis=1) + 1


def _tier_numbers(
    tier: NDArray[np.int64], group: NDArray[np.int64], rank: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Number the tiers of each group from 1 by their best member."""
    best = np.array([rank[tier == one].min() for one in tier])
    return np.array(
        [
            len(np.unique(best[(group == own) & (best < mine)])) + 1
            for own, mine in zip(group, best, strict=True)
        ],
        dtype=np.int64,
    )


def _mean(pictures: Sequence[ScoredPicture], axis: str, resamples: int, seed: int) -> Interval:
    values = np.array([picture.scores[axis].mean for picture in pictures])
    return _interval(values, [picture.prompt for picture in pictures], resamples, seed)


def _interval(values: Numbers, prompts: Sequence[Any], resamples: int, seed: int) -> Interval:
    if len(set(prompts)) < 2:
        # From one prompt nothing can be drawn.
        return Interval(float(values.mean()), math.nan, math.nan, len(values), 1, LEVEL)
    return bootstrap_mean(values, clusters=prompts, resamples=resamples, level=LEVEL, seed=seed)


def _in_order(found: Sequence[GeneratorMeasure]) -> list[GeneratorMeasure]:
    sizes: dict[int, int] = {}
    for one in found:
        sizes[one.group] = sizes.get(one.group, 0) + 1
    # Those that nothing is compared with stand at the end, by their means.
    ordered = sorted(
        found,
        key=lambda one: (
            -sizes[one.group],
            one.group if one.rank else math.inf,
            one.rank or 0,
            -one.mean.value,
            one.name,
        ),
    )
    numbers: dict[int, int] = {}
    return [replace(one, group=numbers.setdefault(one.group, len(numbers) + 1)) for one in ordered]
