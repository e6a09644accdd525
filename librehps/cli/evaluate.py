"""``librehps evaluate``: benchmarks to a table of numbers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from librehps.cli import options
from librehps.cli.output import note, write_json, write_table
from librehps.errors import BackendError, InputError

if TYPE_CHECKING:
    from librehps.calibration import Interval
    from librehps.evaluate.measures import ForecastMeasure
    from librehps.evaluate.run import Evaluation

EPILOG = options.examples(
    "librehps synth --pairs 2000 --out world",
    "librehps evaluate --suite hpdv3 --data world --out report",
    "librehps evaluate --suite hpdv3 --data HPDv3 --suite hpdv3-layout --data other.json "
    "--model owner/name --out report",
)


@options.with_model_options
def evaluate(
    *,
    suite: Annotated[
        list[str],
        typer.Option(metavar="NAME", show_default=False, help="hpdv3, hpdv3-test, hpdv3-layout."),
    ],
    data: Annotated[
        list[Path],
        typer.Option(
            metavar="DIR|FILE", show_default=False, help="Where it lies; one for each --suite."
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", show_default=False, help="Folder of the results.")
    ],
    tie_rule: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Tie rule of the accuracies; each suite's own if not given."
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Most pairs of each suite, spread over its file."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of scores that are kept; scores in --out if not given."
        ),
    ] = None,
    max_bad_share: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Share of pictures without a score to put up with."),
    ] = 0.01,
    html: Annotated[
        bool, typer.Option("--html/--no-html", help="Write report.html, with the worst errors.")
    ] = True,
    chosen: options.ModelOptions,
    batch_tokens: options.BatchTokensOption = 8192,
    as_json: options.JsonOption = False,
) -> None:
    """Measure how well a model agrees with people.

    Prints, for each suite and axis, the accuracy under the tie rule that stands beside it with its
    95% interval over prompts, the calibration error and the Brier score before and after Platt
    scaling, which is fitted on a tenth of the pairs and judged on the others, and the means over
    all suites. The folder gets report.json, report.html with charts and the worst errors, and
    pairs.jsonl with every score.

    Scores are kept: a second run takes seconds, and one that was stopped goes on. A picture that
    cannot be scored is listed in bad-items.jsonl, its pairs are left out, and the exit status is 1.
    """
    if len(suite) != len(data):
        raise typer.BadParameter(
            f"there are {len(suite)} --suite and {len(data)} --data; give one for each"
        )
    if find_spec("scipy") is None:
        raise BackendError(
            'evaluation needs scipy: pip install "librehps[evaluate]"', code="scipy_missing"
        )
    from librehps.cli.loading import identify_scorer, load_scorer
    from librehps.evaluate.run import BAD_ITEMS, BAD_ROWS, ModelCard, SuiteRequest
    from librehps.evaluate.run import evaluate as run

    scorer = load_scorer(chosen)
    identity = identify_scorer(scorer, chosen)
    try:
        found = run(
            scorer,
            ModelCard(chosen.model, scorer.trained, identity),
            [SuiteRequest(name, place) for name, place in zip(suite, data, strict=True)],
            out=out,
            cache=cache,
            tie_rule=tie_rule,
            limit=limit,
            max_bad_share=max_bad_share,
            max_batch_tokens=batch_tokens,
            page=html,
            progress=sys.stderr.isatty(),
        )
    except OSError as error:
        raise InputError(
            f"cannot be written: {error}", code="out_unwritable", item=str(out)
        ) from error
    for measured in found.suites:
        for axis, refused in measured.refused.items():
            for name, error in refused.items():
                note(f"{measured.name}, {axis}: not {name}: {error} [{error.code}]")
    if as_json:
        write_json({"folder": str(out), **found.report})
    else:
        write_table(COLUMNS, _rows(found))
    if found.bad_items:
        note(f"{len(found.bad_items)} pictures have no score; see {out / BAD_ITEMS}")
    if found.num_bad_rows:
        note(f"{found.num_bad_rows} rows cannot be read; see {out / BAD_ROWS}")
    if found.bad_items or found.num_bad_rows:
        raise typer.Exit(1)


COLUMNS = (
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


def _rows(found: Evaluation) -> list[list[str]]:
    rows: list[list[str]] = []
    for suite in found.suites:
        for axis, measured in suite.axes.items():
            accuracy = measured.accuracy
            before = measured.forecasts["uncalibrated"]
            after = measured.forecasts.get("calibrated")
            rows.append(
                [
                    suite.name,
                    axis,
                    str(measured.num_pairs),
                    "-" if accuracy is None else f"{accuracy.value:.4f}",
                    _interval_cell(accuracy),
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


def _interval_cell(interval: Interval | None) -> str:
    # An end that is not known is not equal to itself.
    if interval is None or interval.low != interval.low:
        return "-"
    return f"{interval.low:.4f} to {interval.high:.4f}"


def _error_cells(forecasts: Sequence[ForecastMeasure | None]) -> list[str]:
    return ["-" if one is None else f"{one.reliability.error.value:.4f}" for one in forecasts]


def _brier_cells(forecasts: Sequence[ForecastMeasure | None]) -> list[str]:
    return ["-" if one is None else f"{one.brier.value:.4f}" for one in forecasts]
