"""``report.html``: an evaluation on one page that needs nothing else, to be read and passed on.

The page loads nothing and runs nothing: style, charts and pictures stand in it, and its own content
security policy refuses the rest. Whatever a user wrote is escaped by the template engine, and what
cannot be seen in it is named. Its size is bounded: so many errors, so many bytes of a picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from librehps.calibration import Interval
from librehps.calibration.pairs import Numbers
from librehps.errors import BackendError
from librehps.evaluate.charts import (
    Chart,
    confidence_chart,
    difference_chart,
    reliability_chart,
    score_chart,
)
from librehps.evaluate.confidence import ConfidenceBand, accuracy_by_confidence
from librehps.evaluate.errors_shown import ShownError, worst_errors
from librehps.evaluate.judged import JudgedPairs
from librehps.evaluate.measures import UNCALIBRATED, AxisMeasure, judge_pairs
from librehps.evaluate.pictures import Pictures
from librehps.evaluate.ranking_measures import RankingMeasure
from librehps.evaluate.rating_measures import RatingMeasure
from librehps.evaluate.report import CALIBRATED, CALIBRATED_GLOBAL, Aggregate, SuiteMeasure
from librehps.evaluate.scored import ScoredPair, score_pairs
from librehps.evaluate.visible_text import shortened, visible

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["MAX_ERRORS", "ReportedSuite", "load_template", "render_report"]

#: Most pairs whose pictures are shown, of all benchmarks together.
MAX_ERRORS = 24
_MAX_TEXT = 600


@dataclass(frozen=True)
class ReportedSuite:
    """A benchmark on the page.

    Args:
        measure: What was measured on it.
        pairs: Its pairs with their scores.
        images: Folder that the names of its pictures are relative to.
        pictures: Finds the pictures; they are files if ``None``.
    """

    measure: SuiteMeasure
    pairs: Sequence[ScoredPair]
    images: Path
    pictures: Pictures | None = None


@dataclass(frozen=True)
class _ShownAxis:
    """What the page says of an axis of a benchmark."""

    name: str
    measure: AxisMeasure
    forecasts: str
    charts: Sequence[Chart]
    bands: Sequence[ConfidenceBand]
    refused: Mapping[str, str]


@dataclass(frozen=True)
class _ShownSuite:
    """What the page says of a benchmark, beside what the document says of it."""

    document: Mapping[str, Any]
    axes: Sequence[_ShownAxis]
    errors: Sequence[ShownError]
    num_errors: int
    error_axis: str
    rankings: RankingMeasure | None
    ratings: Mapping[str, RatingMeasure]


def load_template() -> Template:
    """Return the page's template.

    Raises:
        BackendError: jinja2 is not installed (code ``jinja2_missing``).
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ModuleNotFoundError as error:
        raise BackendError(
            'report.html needs jinja2: pip install "librehps[evaluate]", or ask for no page',
            code="jinja2_missing",
        ) from error
    environment = Environment(
        loader=PackageLoader("librehps.evaluate"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_named,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number,
        "interval": _interval,
        "own": Markup,
    }
    return environment.get_template("report.html")


def render_report(
    template: Template,
    *,
    document: Mapping[str, Any],
    suites: Sequence[ReportedSuite],
    aggregate: Aggregate | None,
) -> str:
    """Return the page. It has the time on a line of its own, and is else the same for the same.

    Args:
        template: See :func:`load_template`.
        document: What ``report.json`` holds.
        suites: In the order in which the document has them.
        aggregate: Means over the benchmarks, if there are several.

    Raises:
        InputError: See :func:`~librehps.evaluate.measures.judge_pairs`.
    """
    shown = [
        _suite(suite, document["suites"][place], most=_portion(place, len(suites)))
        for place, suite in enumerate(suites)
    ]
    rules = {
        axis.measure.tie_rule.name: axis.measure.tie_rule for suite in shown for axis in suite.axes
    }
    return template.render(
        document=document,
        suites=shown,
        aggregate=aggregate if len(suites) > 1 else None,
        rules=list(rules.values()),
        uncalibrated=UNCALIBRATED,
        calibrated=CALIBRATED,
        calibrated_global=CALIBRATED_GLOBAL,
    )


def _portion(place: int, count: int) -> int:
    """Return how many errors a benchmark may show, so that all together show no more than 24."""
    return MAX_ERRORS // count + (place < MAX_ERRORS % count)


def _suite(suite: ReportedSuite, document: Mapping[str, Any], *, most: int) -> _ShownSuite:
    axes: list[_ShownAxis] = []
    errors: list[ShownError] = []
    num_errors = 0
    for axis in suite.measure.axes:
        pairs = [pair for pair in suite.pairs if not pair.for_fitting and pair.has(axis)]
        judged = judge_pairs(pairs, axis)
        forecasts, probability = _stated_of(suite.measure, axis, pairs, judged)
        if not axes:
            errors = worst_errors(
                pairs,
                judged,
                probability,
                images=suite.images,
                most=most,
                pictures=suite.pictures,
            )
            num_errors = int((judged.preferred * judged.scored == -1).sum())
        shown = _axis(
            suite.measure, axis, pairs, judged, forecasts=forecasts, probability=probability
        )
        axes.append(shown)
    return _ShownSuite(
        document,
        axes,
        errors,
        num_errors,
        # Marks alone make no pairs, and so no axis and no errors.
        error_axis=axes[0].name if axes else "",
        rankings=suite.measure.rankings,
        ratings=suite.measure.ratings,
    )


def _stated_of(
    measure: SuiteMeasure, axis: str, pairs: Sequence[ScoredPair], judged: JudgedPairs
) -> tuple[str, Numbers]:
    """Return the best probabilities that there are, and what they are called."""
    fit = measure.fits[axis].get(CALIBRATED)
    if fit is None:
        return UNCALIBRATED, judged.probability
    return CALIBRATED, fit.of_pairs(score_pairs(pairs, axis))


def _axis(
    suite: SuiteMeasure,
    axis: str,
    pairs: Sequence[ScoredPair],
    judged: JudgedPairs,
    *,
    forecasts: str,
    probability: Numbers,
) -> _ShownAxis:
    measure = suite.axes[axis]
    rule = measure.tie_rule
    bands = accuracy_by_confidence(probability, judged, tie_rule=rule)
    diagrams = {
        name: measure.forecasts[name].reliability
        for name in (UNCALIBRATED, CALIBRATED)
        if name in measure.forecasts
    }
    score_a, score_b = (
        np.array([scores[axis].mean for scores in side])
        for side in ([pair.scores_a for pair in pairs], [pair.scores_b for pair in pairs])
    )
    charts = [
        reliability_chart(diagrams),
        confidence_chart(bands, rule=rule.name, forecasts=forecasts),
        difference_chart(judged),
        score_chart(score_a, score_b, judged),
    ]
    refused = {name: f"{why} [{why.code}]" for name, why in suite.refused[axis].items()}
    return _ShownAxis(axis, measure, forecasts, charts, bands, refused)


def _named(value: object) -> object:
    """Return what the template prints: text with nothing hidden, and of bounded length."""
    from markupsafe import Markup

    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(shortened(value, _MAX_TEXT))
    return value


def _number(value: float | Interval | None) -> str:
    """Return a number to four places; a dash where there is none."""
    number = value.value if isinstance(value, Interval) else value
    return "-" if number is None or math.isnan(number) else f"{number:.4f}"


def _interval(value: Interval | None) -> str:
    """Return the ends of an interval; a dash where they are not known."""
    if value is None or math.isnan(value.low) or math.isnan(value.high):
        return "-"
    return f"{value.low:.4f} to {value.high:.4f}"
