"""A leaderboard of generators from beginning to end: pictures in, scores, a ranking, a folder.

::

    <out>/report.json        the numbers
    <out>/report.html        the same on a page, with charts and pictures; if it is wanted
    <out>/strengths.svg      the ranking with its intervals, as a picture
    <out>/pictures.jsonl     a line for each picture: whose, of what, and its scores
    <out>/bad-items.jsonl    pictures without a score or a prompt, and why; only where there are any
    <out>/bad-rows.jsonl     rows that could not be read
    <out>/scores/            the cache, unless another folder is named

The cache is that of :mod:`librehps.evaluate.run`: what one has scored, the other need not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import librehps
from librehps.errors import ConfigError, InputError
from librehps.evaluate.bad_items import bad_item_row, list_rows
from librehps.evaluate.bradley_terry import PRIOR_GAMES
from librehps.evaluate.generated import GeneratedSet, read_rows
from librehps.evaluate.generator_comparisons import (
    FILE_NAME,
    Comparisons,
    ScoredPicture,
    compare_generators,
    write_pictures,
)
from librehps.evaluate.generator_folders import read_folders
from librehps.evaluate.generator_measures import (
    LEVEL,
    RESAMPLES,
    GeneratorMeasure,
    measure_generators,
    measure_pairs,
)
from librehps.evaluate.html_report import load_template
from librehps.evaluate.leaderboard_notes import ranking_notes
from librehps.evaluate.leaderboard_page import render_leaderboard, strength_plot
from librehps.evaluate.outcomes import Outcome, Probability
from librehps.evaluate.run import BAD_ITEMS, BAD_ROWS, PAGE, REPORT, SCORES, ModelCard
from librehps.evaluate.score_cache import ScoreCache
from librehps.evaluate.scoring import BadItem, Item, PictureScorer, score_items
from librehps.progress import progress_bar
from librehps.registry import nearest
from librehps.results import AXIS_FIELDS, Score
from librehps.writing import write_lines

__all__ = ["Leaderboard", "rank_generators", "read_generated", "score_pictures"]

FORMAT_VERSION = 1
CHART = "strengths.svg"
_QUOTED = 3


@dataclass(frozen=True)
class Leaderboard:
    """What was found of generators.

    Args:
        generators: What was measured of each, in the order of the ranking.
        pictures: Every picture with its scores.
        notes: What must be said beside the ranking.
        bad_items: Pictures without a score or a prompt.
        num_bad_rows: Rows that could not be read.
        report: What is in ``report.json``.
    """

    generators: Sequence[GeneratorMeasure]
    pictures: Sequence[ScoredPicture]
    notes: Sequence[str]
    bad_items: Sequence[BadItem]
    num_bad_rows: int
    report: dict[str, Any]


def rank_generators(
    scorer: PictureScorer,
    card: ModelCard,
    data: Path,
    *,
    out: Path,
    prompts: Path | None = None,
    axis: str = "overall",
    outcome: Outcome | None = None,
    cache: Path | None = None,
    max_bad_share: float = 0.01,
    max_batch_tokens: int = 8192,
    page: bool = True,
    progress: bool = False,
) -> Leaderboard:
    """Score pictures of generators and rank those; a run that was stopped goes on where it was.

    Args:
        scorer: What scores.
        card: What it is.
        data: See :func:`read_generated`.
        out: Folder of the results.
        prompts: See :func:`read_generated`.
        axis: The axis that decides.
        outcome: What a comparison counts; :class:`~librehps.evaluate.outcomes.Probability` by what
            the scores state by themselves if ``None``.
        cache: Folder of the scores; ``scores`` in ``out`` if ``None``.
        max_bad_share: The largest share of bad rows, and of bad pictures, that is put up with.
        max_batch_tokens: Most tokens computed at a time.
        page: Write ``report.html``, too; without it, one of an earlier run is taken away.
        progress: Show a bar on stderr.

    Raises:
        BackendError: A page is wanted and jinja2 is not installed (code ``jinja2_missing``).
        ConfigError: A share that is none (code ``evaluation_value``), an axis that does not exist
            (``name_unknown``) or that the model does not score (``axis_missing``), or see
            :func:`read_generated`.
        InputError: Data that cannot be read, more bad rows (code ``data_bad_rows``) or pictures
            (``evaluation_bad_items``) than allowed, or none with a score (``evaluation_empty``).
    """
    if not 0.0 <= max_bad_share <= 1.0:
        raise ConfigError(f"max_bad_share is {max_bad_share}; 0 to 1", code="evaluation_value")
    if axis not in AXIS_FIELDS:
        raise ConfigError(
            f"no axis is called {axis!r:.100}{nearest(axis, AXIS_FIELDS)}", code="name_unknown"
        )
    # Asked first: hours of scoring may follow.
    template = load_template() if page else None
    rule = outcome or Probability()
    found = read_generated(data, prompts=prompts)
    list_rows(out / BAD_ROWS, [vars(row) for row in found.bad_rows])
    _demand_rows(found, max_bad_share, item=str(data))
    bad: list[BadItem] = []
    try:
        with ScoreCache(cache or out / SCORES, card.identity) as kept:
            pictures = score_pictures(
                scorer,
                found,
                kept,
                max_bad_share=max_bad_share,
                max_batch_tokens=max_batch_tokens,
                bad=bad,
                progress=progress,
            )
    finally:
        # Also where there are too many: the list is what helps then.
        list_rows(out / BAD_ITEMS, [bad_item_row(item) for item in bad])
    _demand_axis(pictures, axis)
    write_pictures(out / FILE_NAME, pictures)
    comparisons = compare_generators(pictures, axis=axis, outcome=rule)
    measures = measure_generators(pictures, comparisons, axis=axis)
    wanted = {picture.generator for picture in found.pictures}
    notes = [*found.notes, *ranking_notes(measures, pictures, wanted=wanted)]
    report = {
        "format_version": FORMAT_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "librehps": librehps.__version__,
        "model": {
            "name": card.name,
            "trained": card.trained,
            "fingerprint": card.identity.model,
            "settings": dict(sorted(card.identity.settings.items())),
        },
        "data": {
            "path": str(data),
            "prompts": None if prompts is None else str(prompts),
            "layout": found.layout,
            "sha256": found.sha256,
            "num_rows": found.num_rows,
            "num_bad_rows": len(found.bad_rows),
            "num_pictures": len(found.pictures),
            "num_scored": len(pictures),
        },
        "axis": axis,
        "ranking": _ranking(comparisons, rule),
        "generators": [one.to_dict() for one in measures],
        "pairs": [vars(pair) for pair in measure_pairs(comparisons)],
        "notes": notes,
        "num_bad_items": len(bad),
    }
    write_lines(out / CHART, [strength_plot(measures, alone=True) + "\n"])
    if template is None:
        (out / PAGE).unlink(missing_ok=True)
    else:
        text = render_leaderboard(
            template, document=report, measures=measures, pictures=pictures, images=found.images
        )
        write_lines(out / PAGE, [text])
    write_lines(out / REPORT, [json.dumps(report, indent=2, allow_nan=False) + "\n"])
    return Leaderboard(measures, pictures, notes, bad, len(found.bad_rows), report)


def read_generated(data: Path, *, prompts: Path | None = None) -> GeneratedSet:
    """Read the pictures of generators.

    Args:
        data: A folder, see :mod:`librehps.evaluate.generator_folders`, or a file, see
            :mod:`librehps.evaluate.generated`.
        prompts: Where the prompts of a folder are; beside each picture if ``None``.

    Raises:
        ConfigError: Prompts for a file, whose rows have them (code ``leaderboard_prompts``).
        InputError: See :func:`~librehps.evaluate.generator_folders.read_folders` and
            :func:`~librehps.evaluate.generated.read_rows`.
    """
    if data.is_dir():
        return read_folders(data, prompts=prompts)
    if prompts is not None:
        raise ConfigError(
            "prompts are for folders of pictures; rows of a file have their own",
            code="leaderboard_prompts",
            item=str(prompts),
        )
    return read_rows(data)


def score_pictures(
    scorer: PictureScorer,
    data: GeneratedSet,
    cache: ScoreCache,
    *,
    max_bad_share: float = 0.01,
    max_batch_tokens: int = 8192,
    bad: list[BadItem],
    progress: bool = False,
) -> list[ScoredPicture]:
    """Score the pictures of a benchmark; one that has no score is left out.

    Args:
        scorer: What scores.
        data: The benchmark.
        cache: Where scores are kept.
        max_bad_share: The largest share of pictures without a score or a prompt to put up with.
        max_batch_tokens: Most tokens computed at a time.
        bad: Gets every such picture, also where there are too many.
        progress: Show a bar on stderr.

    Raises:
        InputError: More bad pictures than allowed (code ``evaluation_bad_items``).
    """
    bad += data.bad_items
    items = list(dict.fromkeys(Item(one.image, one.prompt) for one in data.pictures))
    total = len(items) + len(bad)
    left = max_bad_share * total - len(bad)
    if left < 0.0:
        quoted = "; ".join(f"{one.item.image}: {one.error.message}" for one in bad[:_QUOTED])
        raise InputError(
            f"{len(bad)} of {total} pictures have no prompt, more than the share of "
            f"{max_bad_share:g} that is allowed: {quoted}",
            code="evaluation_bad_items",
        )
    with progress_bar("scoring", len(items), shown=progress) as advance:
        found = score_items(
            scorer,
            items,
            cache,
            max_bad_share=left / max(len(items), 1),
            max_batch_tokens=max_batch_tokens,
            on_bad=bad.append,
            advance=advance,
        )
    scored: list[ScoredPicture] = []
    for one in data.pictures:
        outcome = found[Item(one.image, one.prompt)]
        if isinstance(outcome, Score):
            image = one.image.relative_to(data.images).as_posix()
            scored.append(
                ScoredPicture(one.generator, one.category, one.prompt, image, outcome.axes)
            )
    return scored


def _demand_rows(data: GeneratedSet, max_bad_share: float, *, item: str) -> None:
    if len(data.bad_rows) > max_bad_share * data.num_rows:
        quoted = "; ".join(f"{row.place}: {row.message}" for row in data.bad_rows[:_QUOTED])
        raise InputError(
            f"{len(data.bad_rows)} of {data.num_rows} rows cannot be read, more than the share of "
            f"{max_bad_share:g} that is allowed: {quoted}",
            code="data_bad_rows",
            item=item,
        )


def _demand_axis(pictures: Sequence[ScoredPicture], axis: str) -> None:
    if not pictures:
        raise InputError(
            "no picture has a score, so that nothing can be ranked", code="evaluation_empty"
        )
    for picture in pictures:
        if axis not in picture.scores:
            scored = ", ".join(picture.scores) or "none"
            raise ConfigError(
                f"this model gives no score on {axis}; on: {scored}", code="axis_missing"
            )


def _ranking(comparisons: Comparisons, rule: Outcome) -> dict[str, Any]:
    return {
        "model": "bradley_terry",
        "prior_games": PRIOR_GAMES,
        "rule": rule.to_dict(),
        "num_comparisons": len(comparisons),
        "level": LEVEL,
        "resamples": RESAMPLES,
        "drawn": "prompts",
    }
