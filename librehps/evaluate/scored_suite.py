"""From the records of a benchmark to the same with scores; each picture is scored once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from librehps.data.records import Comparison, Ranking, Rating
from librehps.data.sources import Record
from librehps.evaluate.score_cache import Outcome, ScoreCache
from librehps.evaluate.scored import ScoredPair
from librehps.evaluate.scored_rankings import ScoredRanking
from librehps.evaluate.scored_ratings import ScoredRating
from librehps.evaluate.scoring import BadItem, Item, PictureScorer, score_items
from librehps.evaluate.suite import Case, SuiteData, spread_evenly
from librehps.progress import progress_bar
from librehps.results import AxisScore, Score

__all__ = ["ScoredSuite", "score_suite"]


@dataclass(frozen=True)
class ScoredSuite:
    """The records of a benchmark of which every picture has a score.

    Args:
        comparisons: Its comparisons.
        rankings: Its rankings.
        ratings: Its marks.
    """

    comparisons: Sequence[ScoredPair]
    rankings: Sequence[ScoredRanking]
    ratings: Sequence[ScoredRating]

    @property
    def pairs(self) -> list[ScoredPair]:
        """The comparisons, and behind them all pairs of the rankings."""
        return [*self.comparisons, *(pair for one in self.rankings for pair in one.pairs())]


def score_suite(
    scorer: PictureScorer,
    data: SuiteData,
    cache: ScoreCache,
    *,
    limit: int | None = None,
    max_bad_share: float = 0.01,
    max_batch_tokens: int = 8192,
    on_bad: Callable[[BadItem], None] = lambda bad: None,
    bar: Callable[[int], AbstractContextManager[Callable[[int], None]]] = lambda total: (
        progress_bar("", total, shown=False)
    ),
) -> ScoredSuite:
    """Score the pictures of a benchmark; a record of which one has no score is left out whole.

    Args:
        scorer: What scores.
        data: The benchmark.
        cache: Where scores are kept.
        limit: Most records, spread evenly over the file.
        max_bad_share: The largest share of pictures without a score that is put up with.
        max_batch_tokens: Most tokens computed at a time.
        on_bad: Called with each picture that has no score.
        bar: Opens a progress bar for a number of pictures.

    Raises:
        InputError: More bad pictures than allowed (code ``evaluation_bad_items``).
        ConfigError: A limit below 1 (code ``suite_limit``).
    """
    cases = spread_evenly(data.cases, limit)
    items = list(dict.fromkeys(item for case in cases for item in _items(case.record)))
    with bar(len(items)) as advance:
        found = score_items(
            scorer,
            items,
            cache,
            pictures=data.pictures,
            max_bad_share=max_bad_share,
            max_batch_tokens=max_batch_tokens,
            on_bad=on_bad,
            advance=advance,
        )
    comparisons: list[ScoredPair] = []
    rankings: list[ScoredRanking] = []
    ratings: list[ScoredRating] = []
    for case in cases:
        scores = _scores(case.record, found)
        if scores is None:
            continue
        if isinstance(case.record, Comparison):
            comparisons.append(_pair(case, case.record, data, scores))
        elif isinstance(case.record, Ranking):
            rankings.append(_ranking(case, case.record, data, scores))
        else:
            ratings.append(_rating(case, case.record, data, scores[0]))
    return ScoredSuite(comparisons, rankings, ratings)


def _items(record: Record) -> list[Item]:
    if isinstance(record, Comparison):
        images = (record.image_a, record.image_b)
    else:
        images = record.images if isinstance(record, Ranking) else (record.image,)
    return [Item(image, record.prompt) for image in images]


def _scores(
    record: Record, found: Mapping[Item, Outcome]
) -> tuple[dict[str, AxisScore], ...] | None:
    """Return the scores of a record's pictures by axis, nothing where one has none."""
    outcomes = [found[item] for item in _items(record)]
    scores = tuple(one.axes for one in outcomes if isinstance(one, Score))
    return scores if len(scores) == len(outcomes) else None


def _pair(
    case: Case, one: Comparison, data: SuiteData, scores: Sequence[dict[str, AxisScore]]
) -> ScoredPair:
    return ScoredPair(
        suite=data.name,
        global_index=case.global_index,
        for_fitting=case.for_fitting,
        key=one.key,
        prompt=one.prompt,
        image_a=_name(one.image_a, data),
        image_b=_name(one.image_b, data),
        targets={"overall": one.target, **one.axis_targets},
        votes=one.votes,
        scores_a=scores[0],
        scores_b=scores[1],
    )


def _ranking(
    case: Case, one: Ranking, data: SuiteData, scores: tuple[dict[str, AxisScore], ...]
) -> ScoredRanking:
    return ScoredRanking(
        suite=data.name,
        global_index=case.global_index,
        for_fitting=case.for_fitting,
        key=one.key,
        prompt=one.prompt,
        images=tuple(_name(image, data) for image in one.images),
        ranks=one.ranks,
        scores=scores,
    )


def _rating(case: Case, one: Rating, data: SuiteData, scores: dict[str, AxisScore]) -> ScoredRating:
    return ScoredRating(
        suite=data.name,
        global_index=case.global_index,
        key=one.key,
        prompt=one.prompt,
        image=_name(one.image, data),
        marked=one.axis,
        value=one.value,
        scores=scores,
    )


def _name(image: Path, data: SuiteData) -> str:
    return image.relative_to(data.images).as_posix()
