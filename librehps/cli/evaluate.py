"""``librehps evaluate``: benchmarks to a table of numbers."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from librehps.cli import options
from librehps.cli.evaluation_tables import write_tables
from librehps.cli.output import note, note_left_out, write_json
from librehps.cli.suite_options import ColumnWords, suite_requests
from librehps.errors import BackendError
from librehps.writing import into

EPILOG = options.examples(
    "librehps synth --pairs 2000 --out world",
    "librehps evaluate --suite hpdv3 --data world --out report",
    "librehps evaluate --suite hpdv3 --data HPDv3 --suite hpdv2 --data HPDv2 "
    "--root HPDv3 --root HPDv2/test --model owner/name --out report",
    "librehps evaluate --suite csv --data pairs.csv --column prompt=caption --column image_a=left "
    "--column image_b=right --column preferred=winner --label left=1 --label right=0 --out report",
)


@options.with_model_options
def evaluate(
    *,
    suite: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="Data sets: hpdv3, hpdv3-test, hpdv2, pickapic, imagereward, imagereward-hpsv2, "
            "imagereward-ratings, genai-bench, visionreward. Files of your own: hpdv3-layout, csv, "
            "jsonl, parquet, webdataset. Of videos, which are refused: videogen-rewardbench, "
            "videoalign.",
        ),
    ],
    data: Annotated[
        list[Path],
        typer.Option(
            metavar="DIR|FILE", show_default=False, help="Where it lies; one for each --suite."
        ),
    ],
    out: options.ResultsOption,
    root: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Where the paths of images start, for all suites or one for each; the folder of "
            "the data if not given.",
        ),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="What a row of csv, jsonl, parquet or webdataset is: comparison, ranking or "
            "rating; comparison if not given.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=COLUMN",
            help="The column of a field, such as prompt=caption; one that is not named is looked "
            "for under its own name: prompt, image_a, image_b, and one of target, preferred, or "
            "votes_a and votes_b; of rankings prompt, images, ranks; of ratings prompt, image, "
            "value.",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD=SHARE",
            help="What a word in the column preferred means: 1 prefers image_a, 0 image_b, 0.5 is "
            "a tie; in place of a, b, tie and same.",
        ),
    ] = None,
    axis_column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AXIS=COLUMN", help="The column with the share for image_a on an axis."
        ),
    ] = None,
    fit_share: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of the records that is kept for fitting and not measured; each suite's "
            "own, mostly 0.1, if not given. 0 measures the whole file, as published numbers do.",
        ),
    ] = None,
    tie_rule: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Tie rule of the accuracies; each suite's own if not given."
        ),
    ] = None,
    calibrator: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What calibrates: platt, lapse, temperature, beta, isotonic or sigma_scale.",
        ),
    ] = "platt",
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Most records of each suite, spread over its file."),
    ] = None,
    cache: options.CacheOption = None,
    max_bad_share: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share to put up with, of rows that cannot be read and of pictures without a "
            "score.",
        ),
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
    95% interval over prompts, the calibration error and the Brier score before and after
    calibration, which is fitted on a tenth of the pairs and judged on the others, and the means
    over all suites. Rankings add Kendall's tau-b and Spearman's rho per prompt, and marks their
    correlations with the scores. The folder gets report.json, report.html with charts and the worst
    errors, and pairs.jsonl with every score.

    Scores are kept: a second run takes seconds, and one that was stopped goes on. A picture that
    cannot be scored is listed in bad-items.jsonl and a row that cannot be read in bad-rows.jsonl;
    what they belong to is left out, and the exit status is 1.
    """
    if find_spec("scipy") is None:
        raise BackendError(
            'evaluation needs scipy: pip install "librehps[evaluate]"', code="scipy_missing"
        )
    from librehps.cli.loading import identify_scorer, load_scorer
    from librehps.evaluate.run import ModelCard
    from librehps.evaluate.run import evaluate as run
    from librehps.evaluate.tie_rules import Unsettled

    words = ColumnWords(
        record=record, names=column or (), axes=axis_column or (), labels=label or ()
    )
    requests = suite_requests(suite, data, roots=root or (), words=words, fit_share=fit_share)
    scorer = load_scorer(chosen, own_calibration=False)
    identity = identify_scorer(scorer, chosen)
    with into(out):
        found = run(
            scorer,
            ModelCard(chosen.model, scorer.trained, identity),
            requests,
            out=out,
            cache=cache,
            tie_rule=tie_rule,
            calibrator=calibrator,
            limit=limit,
            max_bad_share=max_bad_share,
            max_batch_tokens=batch_tokens,
            page=html,
            progress=sys.stderr.isatty(),
        )
    for document in found.report["suites"]:
        for reason, count in document["dropped"].items():
            note(f"{document['suite']}: {count} of {document['num_rows']} rows left out: {reason}")
    for measured in found.suites:
        for axis, of_axis in measured.axes.items():
            if isinstance(of_axis.tie_rule, Unsettled):
                why = of_axis.tie_rule.why
                note(f"{measured.name}, {axis}: no accuracy: {why} [{why.code}]")
        for axis, refused in measured.refused.items():
            for name, error in refused.items():
                note(f"{measured.name}, {axis}: not {name}: {error} [{error.code}]")
    if as_json:
        write_json({"folder": str(out), **found.report})
    else:
        write_tables(found)
    if note_left_out(out, items=len(found.bad_items), rows=found.num_bad_rows):
        raise typer.Exit(1)
