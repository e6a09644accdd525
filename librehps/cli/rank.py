"""``librehps rank``: the images of one prompt, best first."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from librehps.cli import options
from librehps.cli.output import axis_cell, axis_columns, write_json, write_table
from librehps.cli.score import note_notes, result_entry
from librehps.errors import InputError
from librehps.results import Ranking, Score

EPILOG = options.examples(
    'librehps rank *.png --prompt "a blue star"',
    'librehps rank *.png --prompt "a cat" --model owner/name | sed -n 2p | cut -f2',
)


@options.with_model_options
def rank(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE", show_default=False)],
    *,
    prompt: options.PromptOption,
    axis: options.AxisOption = "overall",
    chosen: options.ModelOptions,
    batch_tokens: options.BatchTokensOption = 8192,
    as_json: options.JsonOption = False,
) -> None:
    """Order the images of one prompt, best first.

    An image that cannot be scored comes last with its error, and the exit status is 1.
    """
    from librehps.cli.loading import load_scorer

    scorer = load_scorer(chosen)
    scorer.check_axis(axis)
    found = scorer.score_images(
        images=images,
        prompts=prompt,
        progress=sys.stderr.isatty(),
        on_error="return",
        max_batch_tokens=batch_tokens,
    )
    scored = [(place, score) for place, score in enumerate(found) if isinstance(score, Score)]
    ranking = Ranking.of([score for _, score in scored], axis=axis)
    order = [scored[entry.index][0] for entry in ranking]
    failed = [place for place, result in enumerate(found) if isinstance(result, InputError)]
    for image, result in zip(images, found, strict=True):
        note_notes(image, result)
    if as_json:
        items = [
            {
                "rank": None if place in failed else position,
                "index": place,
                "image": images[place],
                **result_entry(found[place]),
            }
            for position, place in enumerate([*order, *failed], start=1)
        ]
        head = {"model": chosen.model, "trained": scorer.trained, "prompt": prompt, "axis": axis}
        write_json({**head, "items": items})
    else:
        _write_rows(images, found, order=order, failed=failed)
    if failed:
        raise typer.Exit(1)


def _write_rows(
    images: list[str],
    found: list[Score | InputError],
    *,
    order: list[int],
    failed: list[int],
) -> None:
    axes = axis_columns([result for result in found if isinstance(result, Score)])
    rows: list[list[str]] = []
    for position, place in enumerate([*order, *failed], start=1):
        result = found[place]
        if isinstance(result, InputError):
            rows.append(
                ["-", images[place], *("-" for _ in axes), f"{result.message} [{result.code}]"]
            )
        else:
            cells = [axis_cell(result.axes.get(name)) for name in axes]
            rows.append([str(position), images[place], *cells, *([""] if failed else [])])
    write_table(["rank", "image", *axes, *(["error"] if failed else [])], rows)
