"""``librehps leaderboard``: pictures of generators to a ranking."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from librehps.cli import options
from librehps.cli.output import note, note_left_out, write_json, write_table
from librehps.writing import into

if TYPE_CHECKING:
    from librehps.calibration import Calibrator, Interval
    from librehps.evaluate.leaderboard import Leaderboard
    from librehps.scorer import LibreHPS

EPILOG = options.examples(
    "librehps leaderboard --data pictures --prompts prompts --out report",
    "librehps leaderboard --data pictures.json --out report --rule higher",
    "librehps leaderboard --data pictures --model owner/name --axis style --out report --json",
)


@options.with_model_options
def leaderboard(
    *,
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR|FILE",
            show_default=False,
            help="Folder with <generator>/<category>/<picture>; or a JSON list, or lines, of "
            "{image, prompt, generator, category}.",
        ),
    ],
    out: options.ResultsOption,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|FILE",
            show_default=False,
            help="For a folder of pictures: <category>.json, .jsonl or .txt, by number or by name "
            "of the picture, or one JSON object of categories. Without it, the prompt of x.png is "
            "in x.txt beside it.",
        ),
    ] = None,
    axis: options.AxisOption = "overall",
    rule: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What a comparison counts. probability: each wins the probability that a person "
            "prefers it. higher: the higher score wins it all.",
        ),
    ] = "probability",
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A calibration.json for this model and axis, for the rule probability; the one in "
            "the checkpoint's folder if not given.",
        ),
    ] = None,
    cache: options.CacheOption = None,
    max_bad_share: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Share of pictures without a score or a prompt to put up with."
        ),
    ] = 0.01,
    html: Annotated[
        bool, typer.Option("--html/--no-html", help="Write report.html, with charts and pictures.")
    ] = True,
    chosen: options.ModelOptions,
    batch_tokens: options.BatchTokensOption = 8192,
    as_json: options.JsonOption = False,
) -> None:
    """Rank generators by the scores of their pictures.

    Two generators are compared on each prompt that both have pictures for; equal scores are half a
    win for each. From all comparisons follow strengths after Bradley and Terry, in log-odds: one
    that is x above another wins with the probability 1 / (1 + exp(-x)). Prints, best first, rank
    and strength with 95% intervals over prompts, the share won, how many comparisons that is, and
    mean scores, which compare only where the prompts are the same.

    The folder gets report.json, report.html, strengths.svg, and pictures.jsonl with every score.
    Scores are kept, and shared with librehps evaluate through --cache: a run that was stopped goes
    on. A picture that is missing or cannot be scored is listed in bad-items.jsonl, and the exit
    status is 1. What keeps generators from being compared is said on stderr and in the report.
    """
    from librehps.cli.loading import identify_scorer, load_scorer
    from librehps.evaluate.leaderboard import rank_generators
    from librehps.evaluate.outcomes import make_outcome
    from librehps.evaluate.run import ModelCard

    scorer = load_scorer(chosen)
    outcome = make_outcome(rule, _calibrator(scorer, chosen, calibration, axis))
    identity = identify_scorer(scorer, chosen)
    with into(out):
        found = rank_generators(
            scorer,
            ModelCard(chosen.model, scorer.trained, identity),
            data,
            out=out,
            prompts=prompts,
            axis=axis,
            outcome=outcome,
            cache=cache,
            max_bad_share=max_bad_share,
            max_batch_tokens=batch_tokens,
            page=html,
            progress=sys.stderr.isatty(),
        )
    for said in found.notes:
        note(said)
    if as_json:
        write_json({"folder": str(out), **found.report})
    else:
        write_table(*_table(found))
    if note_left_out(out, items=len(found.bad_items), rows=found.num_bad_rows):
        raise typer.Exit(1)


def _calibrator(
    scorer: LibreHPS, chosen: options.ModelOptions, calibration: Path | None, axis: str
) -> Calibrator | None:
    """Return what turns scores into probabilities: as ``librehps compare`` does."""
    from librehps.calibration import load_matching
    from librehps.hub import find_checkpoint

    if calibration is not None:
        folder = find_checkpoint(
            chosen.model, revision=chosen.revision, local_files_only=chosen.local_files_only
        )
        return load_matching(calibration, checkpoint=folder, axis=axis)
    own = scorer.calibration
    return own if own is not None and (own.axis or "overall") == axis else None


def _table(found: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Return the columns and the rows; a column for each category where there are several."""
    categories = sorted({name for one in found.generators for name in one.categories})
    shown = categories if len(categories) > 1 else []
    grouped = len({one.group for one in found.generators}) > 1
    columns = ["rank", "95% interval", "generator", "strength", "95% interval", "won"]
    columns += ["comparisons", "pictures", "mean score", "95% interval", *shown]
    rows: list[list[str]] = []
    for one in found.generators:
        ranks = "-" if one.rank_low is None else f"{one.rank_low} to {one.rank_high}"
        cells = [
            *("-" if one.rank is None else str(one.rank), ranks, one.name),
            *(_number(one.strength), _ends(one.strength), _number(one.won)),
            *(str(one.num_comparisons), str(one.num_pictures)),
            *(_number(one.mean), _ends(one.mean)),
            *(_number(one.categories.get(name)) for name in shown),
        ]
        rows.append([str(one.group), *cells] if grouped else cells)
    return (["group", *columns] if grouped else columns), rows


def _number(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.value:.4f}"


def _ends(interval: Interval | None) -> str:
    # An end that is not known is not equal to itself.
    if interval is None or interval.low != interval.low:
        return "-"
    return f"{interval.low:.4f} to {interval.high:.4f}"
