"""``librehps compare``: which of two images a person would prefer, and how surely."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from librehps.cli import options
from librehps.cli.output import (
    axis_cell,
    axis_columns,
    note_error,
    write_json,
    write_line,
    write_table,
)
from librehps.cli.score import note_notes
from librehps.errors import InputError
from librehps.results import Comparison

EPILOG = options.examples(
    'librehps compare a.png b.png --prompt "a blue star"',
    'librehps compare a.png b.png --prompt "a blue star" --axis alignment --json',
)


@options.with_model_options
def compare(
    image_a: Annotated[str, typer.Argument(metavar="A", show_default=False)],
    image_b: Annotated[str, typer.Argument(metavar="B", show_default=False)],
    *,
    prompt: options.PromptOption,
    axis: options.AxisOption = "overall",
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A calibration.json for this model and axis; the one in the checkpoint's folder "
            "if not given.",
        ),
    ] = None,
    chosen: options.ModelOptions,
    as_json: options.JsonOption = False,
) -> None:
    """Say which of two images is preferred.

    Prints the scores of A and B, which one a person would prefer for the prompt, and the
    probability of that. Without a calibration it follows from the scores and their sigmas alone.
    """
    from librehps.calibration import load_matching
    from librehps.cli.loading import load_scorer
    from librehps.hub import find_checkpoint

    # One that is named stands in for the folder's own, which may be of another model.
    scorer = load_scorer(chosen, own_calibration=calibration is None)
    calibrator = None
    if calibration is not None:
        folder = find_checkpoint(
            chosen.model, revision=chosen.revision, local_files_only=chosen.local_files_only
        )
        calibrator = load_matching(calibration, checkpoint=folder, axis=axis)
    names = {
        "model": chosen.model,
        "trained": scorer.trained,
        "image_a": image_a,
        "image_b": image_b,
    }
    try:
        comparison = scorer.compare_images(
            image_a=image_a, image_b=image_b, prompt=prompt, axis=axis, calibrator=calibrator
        )
    except InputError as error:
        if as_json:
            write_json({**names, "prompt": prompt, "error": error.to_dict()})
        note_error(error)
        raise typer.Exit(1) from error
    note_notes(image_a, comparison.score_a)
    note_notes(image_b, comparison.score_b)
    if as_json:
        write_json({**names, "prompt": prompt, "comparison": comparison.to_dict()})
    else:
        _write(comparison, {"a": image_a, "b": image_b})


def _write(comparison: Comparison, images: dict[str, str]) -> None:
    scores = {"a": comparison.score_a, "b": comparison.score_b}
    axes = axis_columns(list(scores.values()))
    rows = [
        [side, images[side], *(axis_cell(score.axes.get(name)) for name in axes)]
        for side, score in scores.items()
    ]
    if not sys.stdout.isatty():
        probabilities = [comparison.probability_a, 1.0 - comparison.probability_a]
        rows = [
            [*row, f"{probability:.6f}"]
            for row, probability in zip(rows, probabilities, strict=True)
        ]
        write_table(["side", "image", *axes, "probability"], rows)
        return
    write_table(["", "image", *axes], rows)
    if comparison.winner == "tie":
        write_line(f"a tie on {comparison.axis}")
        return
    write_line(
        f"{images[comparison.winner]} is preferred on {comparison.axis}"
        f" with probability {comparison.probability:.3f}"
    )
