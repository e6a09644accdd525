"""An evaluation from beginning to end: benchmarks in, scores, numbers, and a folder with all of it.

::

    <out>/report.json        the numbers
    <out>/report.html        the same on a page, with charts and the worst errors; if it is wanted
    <out>/pairs.jsonl        a line for each pair: scores, votes, and which part it is in
    <out>/bad-items.jsonl    pictures without a score, and why; only where there are any
    <out>/bad-rows.jsonl     rows that could not be read
    <out>/scores/            the cache, unless another folder is named
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import librehps
from librehps.calibration import fingerprint
from librehps.errors import ConfigError
from librehps.evaluate.html_report import ReportedSuite, load_template, render_report
from librehps.evaluate.identity import ScorerIdentity
from librehps.evaluate.report import (
    Aggregate,
    SuiteMeasure,
    aggregate_over_suites,
    measure_suites,
)
from librehps.evaluate.score_cache import ScoreCache
from librehps.evaluate.scored import FILE_NAME, ScoredPair, write_scored
from librehps.evaluate.scoring import BadItem, Item, PictureScorer, score_items
from librehps.evaluate.suites import SUITES, SuiteData, spread_evenly
from librehps.evaluate.tie_rules import TieRule, make_tie_rule
from librehps.kernels.backend import choose_attention, choose_kernels
from librehps.progress import progress_bar
from librehps.results import Score
from librehps.scorer import LibreHPS
from librehps.writing import write_lines

__all__ = ["Evaluation", "ModelCard", "SuiteRequest", "evaluate", "identify", "score_suite"]

FORMAT_VERSION = 1
REPORT = "report.json"
PAGE = "report.html"
BAD_ITEMS = "bad-items.jsonl"
BAD_ROWS = "bad-rows.jsonl"
SCORES = "scores"


@dataclass(frozen=True)
class SuiteRequest:
    """A benchmark that shall be run.

    Args:
        suite: A name in ``SUITES``.
        data: Its folder or file.
    """

    suite: str
    data: Path


@dataclass(frozen=True)
class ModelCard:
    """What a report says of the model.

    Args:
        name: As the user named it.
        trained: False where the checkpoint says that it was never trained.
        identity: Whose scores they are.
    """

    name: str
    trained: bool
    identity: ScorerIdentity


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Args:
        suites: By benchmark, in the order in which they were asked for.
        aggregate: Over all of them, on the overall axis; ``None`` where none has it.
        pairs: Every pair with its scores.
        bad_items: Pictures without a score.
        num_bad_rows: Rows that could not be read.
        report: What is in ``report.json``.
    """

    suites: Sequence[SuiteMeasure]
    aggregate: Aggregate | None
    pairs: Sequence[ScoredPair]
    bad_items: Sequence[BadItem]
    num_bad_rows: int
    report: dict[str, Any]


def identify(
    scorer: LibreHPS,
    folder: Path,
    *,
    attn_impl: str = "auto",
    kernel_impl: str = "auto",
    backbone: str = "native",
) -> ScorerIdentity:
    """Return whose scores these are: the checkpoint, and how it runs here.

    Args:
        scorer: What will score.
        folder: The checkpoint that it was loaded from.
        attn_impl: As it was loaded.
        kernel_impl: As it was loaded.
        backbone: As it was loaded.

    Raises:
        CheckpointError: See :func:`~librehps.calibration.fingerprint`.
    """
    device = scorer.model.device
    return ScorerIdentity(
        fingerprint(folder),
        {
            "librehps": librehps.__version__,
            "dtype": str(scorer.model.dtype).removeprefix("torch."),
            "device": device.type,
            "attention": choose_attention(attn_impl, device).name,
            "kernels": choose_kernels(kernel_impl, device).name,
            "backbone": backbone,
            "deterministic": str(scorer.deterministic).lower(),
        },
    )


def evaluate(
    scorer: PictureScorer,
    card: ModelCard,
    requests: Sequence[SuiteRequest],
    *,
    out: Path,
    cache: Path | None = None,
    tie_rule: str | None = None,
    limit: int | None = None,
    max_bad_share: float = 0.01,
    max_batch_tokens: int = 8192,
    page: bool = True,
    progress: bool = False,
) -> Evaluation:
    """Run benchmarks and write what is found; a run that was stopped goes on where it was.

    Args:
        scorer: What scores.
        card: What it is.
        requests: Benchmarks, each once.
        out: Folder of the results.
        cache: Folder of the scores; ``scores`` in ``out`` if ``None``.
        tie_rule: A name in ``TIE_RULES`` for all; each benchmark's own if ``None``.
        limit: Most pairs of each benchmark, spread evenly over its file.
        max_bad_share: The largest share of pictures without a score that is put up with.
        max_batch_tokens: Most tokens computed at a time.
        page: Write ``report.html``, too; without it, one of an earlier run is taken away.
        progress: Show a bar on stderr.

    Raises:
        BackendError: A page is wanted and jinja2 is not installed (code ``jinja2_missing``).
        ConfigError: No benchmark, or one twice (code ``evaluation_suites``); a name that means
            nothing.
        InputError: Data that cannot be read, more bad pictures than allowed (code
            ``evaluation_bad_items``), or nothing to measure (``evaluation_empty``).
    """
    if not 0.0 <= max_bad_share <= 1.0:
        raise ConfigError(f"max_bad_share is {max_bad_share}; 0 to 1", code="evaluation_value")
    # Asked first: hours of scoring may follow.
    template = load_template() if page else None
    rules: dict[str, TieRule] = {}
    data: dict[str, SuiteData] = {}
    for request in requests:
        suite = SUITES[request.suite]
        rule = make_tie_rule(tie_rule or suite.tie_rule)
        read = suite.read(request.data)
        if read.name in data:
            raise ConfigError(
                f"{read.name} was asked for twice: give each benchmark once",
                code="evaluation_suites",
            )
        data[read.name], rules[read.name] = read, rule
    if not data:
        raise ConfigError("no benchmark was asked for", code="evaluation_suites")
    rows = [{"suite": one.name, **vars(row)} for one in data.values() for row in one.bad_rows]
    _list(out / BAD_ROWS, rows)
    pairs: dict[str, list[ScoredPair]] = {}
    bad: list[BadItem] = []
    try:
        with ScoreCache(cache or out / SCORES, card.identity) as kept:
            for name, one in data.items():
                pairs[name] = score_suite(
                    scorer,
                    one,
                    kept,
                    limit=limit,
                    max_bad_share=max_bad_share,
                    max_batch_tokens=max_batch_tokens,
                    on_bad=bad.append,
                    bar=lambda total, name=name: progress_bar(name, total, shown=progress),
                )
    finally:
        # Also where there are too many: the list is what helps then.
        _list(out / BAD_ITEMS, [_bad_row(item) for item in bad])
    write_scored(out / FILE_NAME, (pair for some in pairs.values() for pair in some))
    suites = measure_suites(pairs, tie_rules=rules)
    overall = any("overall" in suite.axes for suite in suites)
    aggregate = aggregate_over_suites(suites) if overall else None
    named = dict(zip(data, requests, strict=True))
    report = {
        "format_version": FORMAT_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "librehps": librehps.__version__,
        "model": {"name": card.name, "trained": card.trained, **_flat(card.identity)},
        "suites": [
            {
                **suite.to_dict(),
                "suite": named[suite.name].suite,
                "data": str(named[suite.name].data),
                "sha256": data[suite.name].sha256,
                "num_rows": data[suite.name].num_rows,
                "num_bad_rows": len(data[suite.name].bad_rows),
                "limit": limit,
                "num_pairs": len(pairs[suite.name]),
            }
            for suite in suites
        ],
        "num_bad_items": len(bad),
        "aggregate": None if aggregate is None else aggregate.to_dict(),
    }
    if template is None:
        (out / PAGE).unlink(missing_ok=True)
    else:
        shown = [ReportedSuite(one, pairs[one.name], data[one.name].images) for one in suites]
        text = render_report(template, document=report, suites=shown, aggregate=aggregate)
        write_lines(out / PAGE, [text])
    write_lines(out / REPORT, [json.dumps(report, indent=2, allow_nan=False) + "\n"])
    return Evaluation(
        suites, aggregate, [p for s in pairs.values() for p in s], bad, len(rows), report
    )


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
) -> list[ScoredPair]:
    """Score the pictures of a benchmark; a pair of which one has no score is left out.

    Args:
        scorer: What scores.
        data: The benchmark.
        cache: Where scores are kept.
        limit: Most pairs, spread evenly over the file.
        max_bad_share: The largest share of pictures without a score that is put up with.
        max_batch_tokens: Most tokens computed at a time.
        on_bad: Called with each picture that has no score.
        bar: Opens a progress bar for a number of pictures.

    Raises:
        InputError: More bad pictures than allowed (code ``evaluation_bad_items``).
    """
    cases = spread_evenly(data.cases, limit)
    sides = [
        (Item(one.image_a, one.prompt), Item(one.image_b, one.prompt))
        for one in (case.comparison for case in cases)
    ]
    items = list(dict.fromkeys(item for both in sides for item in both))
    with bar(len(items)) as advance:
        found = score_items(
            scorer,
            items,
            cache,
            max_bad_share=max_bad_share,
            max_batch_tokens=max_batch_tokens,
            on_bad=on_bad,
            advance=advance,
        )
    pairs: list[ScoredPair] = []
    for case, (item_a, item_b) in zip(cases, sides, strict=True):
        score_a, score_b = found[item_a], found[item_b]
        if not isinstance(score_a, Score) or not isinstance(score_b, Score):
            continue
        one = case.comparison
        pairs.append(
            ScoredPair(
                suite=data.name,
                global_index=case.global_index,
                for_fitting=case.for_fitting,
                key=one.key,
                prompt=one.prompt,
                image_a=one.image_a.relative_to(data.images).as_posix(),
                image_b=one.image_b.relative_to(data.images).as_posix(),
                targets={"overall": one.target, **one.axis_targets},
                votes=one.votes,
                scores_a=score_a.axes,
                scores_b=score_b.axes,
            )
        )
    return pairs


def _bad_row(bad: BadItem) -> dict[str, str]:
    where = {"image": str(bad.item.image), "prompt": bad.item.prompt}
    return {**where, "code": bad.error.code, "message": bad.error.message}


def _list(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as lines of JSON, or take away what an earlier run has listed."""
    if rows:
        write_lines(path, (json.dumps(row) + "\n" for row in rows))
    else:
        path.unlink(missing_ok=True)


def _flat(identity: ScorerIdentity) -> dict[str, object]:
    return {"fingerprint": identity.model, "settings": dict(sorted(identity.settings.items()))}
