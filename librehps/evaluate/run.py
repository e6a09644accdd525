"""An evaluation from beginning to end: benchmarks in, scores, numbers, and a folder with all of it.

::

    <out>/report.json        the numbers
    <out>/report.html        the same on a page, with charts and the worst errors; if it is wanted
    <out>/pairs.jsonl        a line for each pair: scores, votes, and which part it is in
    <out>/rankings.jsonl     a line for each ranking; only where there are any
    <out>/ratings.jsonl      a line for each mark; only where there are any
    <out>/bad-items.jsonl    pictures without a score, and why; only where there are any
    <out>/bad-rows.jsonl     rows that could not be read
    <out>/scores/            the cache, unless another folder is named
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import librehps
from librehps.calibration import fingerprint
from librehps.calibration.table import fitted_type
from librehps.data.records import Rating
from librehps.data.sources import BadRow
from librehps.errors import ConfigError, InputError
from librehps.evaluate.bad_items import bad_item_row, list_rows
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
from librehps.evaluate.scored_rankings import RANKINGS_FILE, write_rankings
from librehps.evaluate.scored_ratings import RATINGS_FILE, write_ratings
from librehps.evaluate.scored_suite import ScoredSuite, score_suite
from librehps.evaluate.scoring import BadItem, PictureScorer
from librehps.evaluate.suite import Suite, SuiteData, SuiteOptions, video_refused
from librehps.evaluate.suites import SUITES
from librehps.evaluate.tie_rules import TieRule, make_tie_rule
from librehps.kernels.backend import choose_attention, choose_kernels
from librehps.progress import progress_bar
from librehps.scorer import LibreHPS
from librehps.writing import write_lines

__all__ = ["Evaluation", "ModelCard", "SuiteRequest", "evaluate", "identify"]

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
        suite: A name in ``SUITES``, or the benchmark itself.
        data: Its folder or file.
        options: What is asked of one that is named.
    """

    suite: str | Suite
    data: Path
    options: SuiteOptions = field(default_factory=SuiteOptions)

    @property
    def label(self) -> str:
        """The name of the benchmark, or of its class."""
        return self.suite if isinstance(self.suite, str) else type(self.suite).__name__

    def make(self) -> Suite:
        """Return the benchmark, before anything is read.

        Raises:
            ConfigError: No such name (code ``name_unknown``), an option that this benchmark does
                not have, or one that is of videos (``suite_video``).
        """
        made = SUITES[self.suite](self.options) if isinstance(self.suite, str) else self.suite
        if made.video:
            raise video_refused(self.label)
        return made


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
        pairs: Every pair with its scores, those of rankings among them.
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
    calibrator: str = "platt",
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
        calibrator: A name in ``CALIBRATORS``, of one that is fitted.
        limit: Most records of each benchmark, spread evenly over its file.
        max_bad_share: The largest share that is put up with of rows that cannot be read, and of
            pictures without a score.
        max_batch_tokens: Most tokens computed at a time.
        page: Write ``report.html``, too; without it, one of an earlier run is taken away.
        progress: Show a bar on stderr.

    Raises:
        BackendError: A page is wanted and jinja2 is not installed (code ``jinja2_missing``).
        ConfigError: No benchmark, or one twice (code ``evaluation_suites``); a name that means
            nothing; or videos (``suite_video``), before anything is scored.
        InputError: Data that cannot be read, more bad rows (code ``data_bad_rows``) or pictures
            (``evaluation_bad_items``) than allowed, nothing to measure (``evaluation_empty``), or
            nothing that a tie rule could choose its threshold on (``tie_rule_validation``).
    """
    if not 0.0 <= max_bad_share <= 1.0:
        raise ConfigError(f"max_bad_share is {max_bad_share}; 0 to 1", code="evaluation_value")
    # Asked first: hours of scoring may follow.
    template = load_template() if page else None
    suites = [request.make() for request in requests]
    _ = fitted_type(calibrator)
    rules = [make_tie_rule(tie_rule or suite.tie_rule) for suite in suites]
    if not suites:
        raise ConfigError("no benchmark was asked for", code="evaluation_suites")
    bad_rows: list[dict[str, Any]] = []
    try:
        data = _read(requests, suites, max_bad_share=max_bad_share, bad_rows=bad_rows)
    except InputError:
        # Where there are too many: the list is what helps then.
        if bad_rows:
            list_rows(out / BAD_ROWS, bad_rows)
        raise
    list_rows(out / BAD_ROWS, bad_rows)
    for one, rule in zip(data.values(), rules, strict=True):
        _demand_fitting_part(one, rule)
    scored: dict[str, ScoredSuite] = {}
    bad: list[BadItem] = []
    try:
        with ScoreCache(cache or out / SCORES, card.identity) as kept:
            for name, one in data.items():
                scored[name] = score_suite(
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
        list_rows(out / BAD_ITEMS, [bad_item_row(item) for item in bad])
    pairs = {name: one.pairs for name, one in scored.items()}
    # What an earlier run reported is not said of these scores, wherever this one stops.
    for stale in (REPORT, PAGE):
        (out / stale).unlink(missing_ok=True)
    _write_scored(out, scored, pairs)
    measured = measure_suites(
        pairs,
        tie_rules=dict(zip(data, rules, strict=True)),
        rankings={name: one.rankings for name, one in scored.items()},
        ratings={name: one.ratings for name, one in scored.items()},
        calibrator=calibrator,
    )
    overall = any("overall" in suite.axes for suite in measured)
    aggregate = aggregate_over_suites(measured) if overall else None
    named = dict(zip(data, requests, strict=True))
    report = {
        "format_version": FORMAT_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "librehps": librehps.__version__,
        "model": {"name": card.name, "trained": card.trained, **_flat(card.identity)},
        "calibrator": calibrator,
        "suites": [
            {
                **suite.to_dict(),
                "suite": named[suite.name].label,
                "data": str(named[suite.name].data),
                "sha256": data[suite.name].sha256,
                "num_rows": data[suite.name].num_rows,
                "num_bad_rows": data[suite.name].num_bad_rows,
                "dropped": dict(data[suite.name].dropped),
                "limit": limit,
                "num_pairs": len(pairs[suite.name]),
                "num_rankings": len(scored[suite.name].rankings),
                "num_ratings": len(scored[suite.name].ratings),
            }
            for suite in measured
        ],
        "num_bad_items": len(bad),
        "aggregate": None if aggregate is None else aggregate.to_dict(),
    }
    if template is not None:
        shown = [
            ReportedSuite(one, pairs[one.name], data[one.name].images, data[one.name].pictures)
            for one in measured
        ]
        text = render_report(template, document=report, suites=shown, aggregate=aggregate)
        write_lines(out / PAGE, [text])
    write_lines(out / REPORT, [json.dumps(report, indent=2, allow_nan=False) + "\n"])
    return Evaluation(
        measured, aggregate, [p for s in pairs.values() for p in s], bad, len(bad_rows), report
    )


def _read(
    requests: Sequence[SuiteRequest],
    suites: Sequence[Suite],
    *,
    max_bad_share: float,
    bad_rows: list[dict[str, Any]],
) -> dict[str, SuiteData]:
    """Return what the benchmarks hold by their names in the report, and note the bad rows."""
    found: dict[str, SuiteData] = {}
    for request, suite in zip(requests, suites, strict=True):
        rows: list[BadRow] = []
        name = request.label
        try:
            read = suite.read(request.data, max_bad_share=max_bad_share, on_bad=rows.append)
            name = read.name
        finally:
            bad_rows += [{"suite": name, **vars(row)} for row in rows]
        if name in found:
            raise ConfigError(
                f"{name} was asked for twice: give each benchmark once",
                code="evaluation_suites",
            )
        found[name] = read
    return found


def _demand_fitting_part(data: SuiteData, rule: TieRule) -> None:
    """Refuse, before hours of scoring, a rule that has nothing to choose its threshold on."""
    judged = [case for case in data.cases if not isinstance(case.record, Rating)]
    if rule.needs_validation and judged and not any(case.for_fitting for case in judged):
        raise InputError(
            f"the tie rule {rule.name!r} chooses a threshold on records that are kept for fitting, "
            "and none is: keep some (--fit-share 0.1), or take a rule that chooses nothing "
            "(--tie-rule strict)",
            code="tie_rule_validation",
            item=data.name,
        )


def _write_scored(
    out: Path, scored: Mapping[str, ScoredSuite], pairs: Mapping[str, Sequence[ScoredPair]]
) -> None:
    write_scored(out / FILE_NAME, (pair for some in pairs.values() for pair in some))
    rankings = [ranking for one in scored.values() for ranking in one.rankings]
    ratings = [rating for one in scored.values() for rating in one.ratings]
    if rankings:
        write_rankings(out / RANKINGS_FILE, rankings)
    else:
        (out / RANKINGS_FILE).unlink(missing_ok=True)
    if ratings:
        write_ratings(out / RATINGS_FILE, ratings)
    else:
        (out / RATINGS_FILE).unlink(missing_ok=True)


def _flat(identity: ScorerIdentity) -> dict[str, object]:
    return {"fingerprint": identity.model, "settings": dict(sorted(identity.settings.items()))}
