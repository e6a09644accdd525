"""``librehps calibrate``: judged pairs to a calibration.json."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from librehps.cli import options
from librehps.cli.output import note, write_json, write_line, write_table
from librehps.errors import BackendError, InputError
from librehps.writing import into

if TYPE_CHECKING:
    from librehps.calibration.table import TieRule
    from librehps.evaluate.fit import BeforeAfter
    from librehps.evaluate.measures import ForecastMeasure
    from librehps.evaluate.scored import ScoredPair

EPILOG = options.examples(
    "librehps calibrate --evaluation report --out checkpoints/librehps-4b",
    "librehps calibrate --data world/validation.json --model checkpoints/own --out checkpoints/own",
)


@options.with_model_options
def calibrate(
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Judged pairs in HPDv3's layout, all of which are fitted to."
        ),
    ] = None,
    evaluation: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder of librehps evaluate: its part for fitting, and no model is needed.",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE|DIR", show_default=False, help="A .json file, or the folder for one."
        ),
    ],
    kind: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="platt, lapse, temperature, beta, isotonic or sigma_scale."
        ),
    ] = "platt",
    axis: options.AxisOption = "overall",
    ties: Annotated[
        str, typer.Option(metavar="RULE", help="Votes that tie: half of them for each, or dropped.")
    ] = "half",
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The reliability diagram; beside the calibration if not given."
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of scores that are kept, with --data."),
    ] = None,
    max_bad_share: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Share of pictures without a score to put up with."),
    ] = 0.01,
    chosen: options.ModelOptions,
    batch_tokens: options.BatchTokensOption = 8192,
    as_json: options.JsonOption = False,
) -> None:
    """Fit the unit of the scores, so that 70 % means 70 %.

    Prints calibration error, Brier score and likelihood before and after, on pairs that the fit has
    not seen: those that an evaluation has held out, or each fifth of the prompts by a fit on the
    others. In a checkpoint's folder, calibration.json is what compare uses from then on.
    """
    if (data is None) == (evaluation is None):
        raise typer.BadParameter("give either --data FILE or --evaluation DIR")
    if find_spec("matplotlib") is None:
        raise BackendError(
            'drawing needs matplotlib: pip install "librehps[evaluate]"', code="matplotlib_missing"
        )
    from librehps.calibration import draw_reliability, save_calibration
    from librehps.calibration.table import demand_axis, demand_tie_rule, fitted_type
    from librehps.evaluate.fit import fit_and_measure

    # What is misspelt shall not be found out after an hour of scoring.
    fitted_type(kind)
    demand_axis(axis)
    demand_tie_rule(ties)
    bad = 0
    if evaluation is not None:
        pairs, model = _of_evaluation(evaluation)
    else:
        pairs, model, bad = _scored(
            cast("Path", data),
            chosen,
            axis=axis,
            cache=cache,
            max_bad_share=max_bad_share,
            batch_tokens=batch_tokens,
        )
    found = fit_and_measure(pairs, kind=kind, axis=axis, ties=cast("TieRule", ties), model=model)
    with into(out):
        if out.suffix != ".json":
            out.mkdir(parents=True, exist_ok=True)
        file = save_calibration(found.calibration, out)
        picture = plot or file.with_suffix(".png")
        first = next(iter(found.measures.values()))
        diagrams = {"before": first.before.reliability, "after": first.after.reliability}
        if len(found.measures) > 1:
            diagrams = {
                f"{name}, {when}": measure.reliability
                for name, both in found.measures.items()
                for when, measure in (("before", both.before), ("after", both.after))
            }
        draw_reliability(diagrams, title=f"{kind}, {axis}").savefig(picture, dpi=120)
    note(f"reliability diagram: {picture}")
    if as_json:
        document: dict[str, Any] = {"file": str(file), "plot": str(picture), "kind": kind}
        benchmarks = {name: _document(both) for name, both in found.measures.items()}
        write_json({**document, "axis": axis, "model": model, "benchmarks": benchmarks})
    else:
        write_table(COLUMNS, [_row(name, both) for name, both in found.measures.items()])
        write_line(f"{file}: {kind} on {axis}")
    if bad:
        note(f"{bad} pictures have no score, or rows cannot be read; their pairs were left out")
        raise typer.Exit(1)


COLUMNS = ("benchmark", "judged on", "pairs", "", "ECE of the winner", "Brier", "nats per pair")


def _of_evaluation(folder: Path) -> tuple[dict[str, list[ScoredPair]], str | None]:
    """Return the scored pairs of an evaluation by benchmark, and the model's fingerprint."""
    from librehps.calibration.strict_json import read_strict_json
    from librehps.evaluate.scored import FILE_NAME, read_scored

    report = read_strict_json(folder / "report.json")
    model: object = report.get("model")
    mark = cast("dict[str, object]", model).get("fingerprint") if isinstance(model, dict) else None
    if not isinstance(mark, str):
        raise InputError(
            "does not say of which model the scores are",
            code="data_file",
            item=str(folder / "report.json"),
        )
    pairs: dict[str, list[ScoredPair]] = {}
    for pair in read_scored(folder / FILE_NAME):
        pairs.setdefault(pair.suite, []).append(pair)
    return pairs, mark


def _scored(
    data: Path,
    chosen: options.ModelOptions,
    *,
    axis: str,
    cache: Path | None,
    max_bad_share: float,
    batch_tokens: int,
) -> tuple[dict[str, list[ScoredPair]], str, int]:
    """Score all pairs of a file; return them, the model's fingerprint, and what was left out."""
    import tempfile

    from librehps.cli.loading import identify_scorer, load_scorer
    from librehps.evaluate.score_cache import ScoreCache
    from librehps.evaluate.scored_suite import score_suite
    from librehps.evaluate.scoring import BadItem
    from librehps.evaluate.suites import SUITES, SuiteOptions
    from librehps.progress import progress_bar

    layout = SUITES["hpdv3-layout"](SuiteOptions(share=1.0))
    suite = layout.read(data, max_bad_share=max_bad_share)
    # The one in the model's folder may be of another model, and is about to be replaced.
    scorer = load_scorer(chosen, own_calibration=False)
    scorer.check_axis(axis)
    identity = identify_scorer(scorer, chosen)
    bad: list[BadItem] = []
    with (
        tempfile.TemporaryDirectory() as scratch,
        ScoreCache(cache or Path(scratch), identity) as kept,
    ):
        found = score_suite(
            scorer,
            suite,
            kept,
            max_bad_share=max_bad_share,
            max_batch_tokens=batch_tokens,
            on_bad=bad.append,
            bar=lambda total: progress_bar("scoring", total, shown=sys.stderr.isatty()),
        )
    for one in bad:
        note(f"{one.item.image}: {one.error.message} [{one.error.code}]")
    return {suite.name: found.pairs}, identity.model, len(bad) + suite.num_bad_rows


def _row(name: str, both: BeforeAfter) -> list[str]:
    def cells(of: ForecastMeasure) -> list[str]:
        error, nats = of.reliability.error.value, of.negative_log_likelihood
        return [f"{error:.4f}", f"{of.brier.value:.4f}", f"{nats:.4f}"]

    pairs = [
        f"{first} -> {second}"
        for first, second in zip(cells(both.before), cells(both.after), strict=True)
    ]
    where = "held out" if both.held_out else "folds"
    return [name, where, str(both.before.brier.n), "before -> after", *pairs]


def _document(both: BeforeAfter) -> dict[str, Any]:
    where = "held out" if both.held_out else "folds"
    return {"judged_on": where, "before": both.before.to_dict(), "after": both.after.to_dict()}
