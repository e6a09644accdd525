"""What ``librehps evaluate`` prints: pairs, rankings and marks, a table for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from librehps.cli.output import write_line, write_table

if TYPE_CHECKING:
    from librehps.calibration import Interval
    from librehps.evaluate.measures import ForecastMeasure
    from librehps.evaluate.run import Evaluation

__all__ = ["write_tables"]

PAIRS = (
    "suite",
    "axis",
    "pairs",
    "accuracy",
    "95% interval",
    "tie rule",
    "ECE of the winner",
    "calibrated ECE",
    "Brier",
    "calibrated Brier",
)
MORE = (
    "suite",
    "axis",
    "tau-b",
    "95% interval",
    "rho",
    "95% interval",
    "nats",
    "calibrated nats",
)
GLOBAL = ("ECE, one fit for all", "Brier, one fit for all", "nats, one fit for all")
RANKINGS = (
    "suite",
    "rankings",
    "prompts",
    "accuracy",
    "95% interval",
    "tie rule",
    "tau-b per prompt",
    "95% interval",
    "rho per prompt",
    "95% interval",
)
MARKS = (
    "suite",
    "marked",
    "held against",
    "marks",
    "prompts",
    "tau-b",
    "95% interval",
    "rho",
    "95% interval",
    "Pearson's r",
    "95% interval",
)


def write_tables(found: Evaluation) -> None:
    """Write two tables of pairs, and below them those of rankings and marks where there are any.

    Tables are set apart by an empty line; one without rows is left out.
    """
    more = (*MORE, *GLOBAL) if len(found.suites) > 1 else MORE
    tables = [
        (PAIRS, _pairs(found)),
        (more, _more(found)),
        (RANKINGS, _rankings(found)),
        (MARKS, _marks(found)),
    ]
    for place, (columns, rows) in enumerate(each for each in tables if each[1]):
        if place:
            write_line("")
        write_table(columns, rows)


def _pairs(found: Evaluation) -> list[list[str]]:
    rows: list[list[str]] = []
    for suite in found.suites:
        for axis, measured in suite.axes.items():
            before = measured.forecasts["uncalibrated"]
            after = measured.forecasts.get("calibrated")
            rows.append(
                [
                    suite.name,
                    axis,
                    str(measured.num_pairs),
                    *_interval_cells(measured.accuracy),
                    measured.tie_rule.name,
                    *_error_cells([before, after]),
                    *_brier_cells([before, after]),
                ]
            )
    every = found.aggregate
    if every is not None and len(found.suites) > 1:
        gaps, briers = every.calibration_error, every.brier
        names = ("uncalibrated", "calibrated")
        rows.append(
            [
                "mean by pairs",
                every.axis,
                str(every.num_pairs),
                f"{every.accuracy:.4f}",
                "-",
                "as above",
                *(f"{gaps[name]:.4f}" if name in gaps else "-" for name in names),
                *(f"{briers[name]:.4f}" if name in briers else "-" for name in names),
            ]
        )
    return rows


def _more(found: Evaluation) -> list[list[str]]:
    rows: list[list[str]] = []
    for suite in found.suites:
        for axis, measured in suite.axes.items():
            before, after, by_all = (
                measured.forecasts.get(name)
                for name in ("uncalibrated", "calibrated", "calibrated_global")
            )
            row = [
                suite.name,
                axis,
                *_interval_cells(measured.kendall),
                *_interval_cells(measured.spearman),
                *_nats_cells([before, after]),
            ]
            if len(found.suites) > 1:
                row += [*_error_cells([by_all]), *_brier_cells([by_all]), *_nats_cells([by_all])]
            rows.append(row)
    return rows


def _rankings(found: Evaluation) -> list[list[str]]:
    return [
        [
            suite.name,
            str(ranked.num_rankings),
            str(ranked.num_prompts),
            *_interval_cells(ranked.accuracy),
            ranked.tie_rule.name,
            *_interval_cells(ranked.kendall),
            *_interval_cells(ranked.spearman),
        ]
        for suite in found.suites
        if (ranked := suite.rankings) is not None
    ]


def _marks(found: Evaluation) -> list[list[str]]:
    return [
        [
            suite.name,
            name,
            marked.judged_by,
            str(marked.num_ratings),
            str(marked.num_prompts),
            *_interval_cells(marked.kendall),
            *_interval_cells(marked.spearman),
            *_interval_cells(marked.pearson),
        ]
        for suite in found.suites
        for name, marked in suite.ratings.items()
    ]


def _interval_cells(interval: Interval | None) -> list[str]:
    """Return a number and its interval, a dash for what is not known."""
    if interval is None:
        return ["-", "-"]
    # An end that is not known is not equal to itself.
    known = interval.low == interval.low
    return [
        f"{interval.value:.4f}",
        f"{interval.low:.4f} to {interval.high:.4f}" if known else "-",
    ]


def _error_cells(forecasts: Sequence[ForecastMeasure | None]) -> list[str]:
    return ["-" if one is None else f"{one.reliability.error.value:.4f}" for one in forecasts]


def _brier_cells(forecasts: Sequence[ForecastMeasure | None]) -> list[str]:
    return ["-" if one is None else f"{one.brier.value:.4f}" for one in forecasts]


def _nats_cells(forecasts: Sequence[ForecastMeasure | None]) -> list[str]:
    return ["-" if one is None else f"{one.negative_log_likelihood:.4f}" for one in forecasts]
