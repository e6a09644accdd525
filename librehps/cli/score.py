"""``librehps score``: images and their prompts to scores."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from librehps.cli import options
from librehps.cli.output import axis_cell, axis_columns, note, write_json, write_table
from librehps.errors import InputError
from librehps.results import Score

EPILOG = options.examples(
    'librehps score star.png --prompt "a blue star"',
    'librehps score *.png --prompt "a cat" --model checkpoints/librehps-4b --json > scores.json',
    "librehps score 1.png 2.png --prompts prompts.txt --model owner/name",
)


@options.with_model_options
def score(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE", show_default=False)],
    *,
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", "-p", metavar="TEXT", help="One prompt for all the images."),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A prompt per line, one for each image in order.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    chosen: options.ModelOptions,
    batch_tokens: options.BatchTokensOption = 8192,
    as_json: options.JsonOption = False,
) -> None:
    """Score images against their prompts.

    Prints mean ± sigma on every axis, higher is better; only differences between images of the same
    prompt carry meaning. An image that cannot be scored is reported in its row, the others are
    scored, and the exit status is 1.
    """
    texts = _prompts_for(images, prompt=prompt, prompts=prompts)
    # Torch comes with it, and wrong usage should be reported without that wait.
    from librehps.cli.loading import load_scorer

    scorer = load_scorer(chosen)
    found = scorer.score_images(
        images=images,
        prompts=texts,
        progress=sys.stderr.isatty(),
        on_error="return",
        max_batch_tokens=batch_tokens,
    )
    if as_json:
        items = [
            {"image": image, "prompt": text, **result_entry(result)}
            for image, text, result in zip(images, texts, found, strict=True)
        ]
        write_json({"model": chosen.model, "trained": scorer.trained, "items": items})
    else:
        _write_rows(images, found)
    if any(isinstance(result, InputError) for result in found):
        raise typer.Exit(1)


def result_entry(result: Score | InputError) -> dict[str, Any]:
    """Return ``{"score": …}`` or ``{"error": …}`` for the JSON document of an item."""
    kind = "error" if isinstance(result, InputError) else "score"
    return {kind: result.to_dict()}


def note_notes(image: str, result: Score | InputError) -> None:
    """Say on stderr what happened to an image on the way."""
    if isinstance(result, Score):
        for text in result.notes:
            note(f"{image}: {text}")


def _prompts_for(images: list[str], *, prompt: str | None, prompts: Path | None) -> list[str]:
    """Return one prompt per image from whichever of the two options was given."""
    if (prompt is None) == (prompts is None):
        raise typer.BadParameter("give either --prompt TEXT or --prompts FILE")
    if prompts is None:
        return [prompt or ""] * len(images)
    try:
        # Some editors put a byte order mark in front, which is no part of the first prompt.
        # Newlines only: str.splitlines() would also cut at characters that a prompt may hold.
        texts = prompts.read_text("utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{prompts} is not UTF-8 text: {error}") from error
    if len(texts) != len(images):
        raise typer.BadParameter(
            f"{prompts} has {len(texts)} lines for {len(images)} images; they must match"
        )
    return texts


def _write_rows(images: list[str], found: list[Score | InputError]) -> None:
    axes = axis_columns([result for result in found if isinstance(result, Score)])
    failed = any(isinstance(result, InputError) for result in found)
    rows: list[list[str]] = []
    for image, result in zip(images, found, strict=True):
        if isinstance(result, InputError):
            rows.append([image, *("-" for _ in axes), f"{result.message} [{result.code}]"])
        else:
            cells = [axis_cell(result.axes.get(name)) for name in axes]
            rows.append([image, *cells, *([""] if failed else [])])
        note_notes(image, result)
    write_table(["image", *axes, *(["error"] if failed else [])], rows)
