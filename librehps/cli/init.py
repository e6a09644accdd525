"""``librehps init``: a reward checkpoint that is ready to be trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from librehps.cli import options
from librehps.cli.output import note, write_json, write_line
from librehps.errors import CheckpointError

EPILOG = options.examples(
    "librehps init model --preset nano",
    "librehps init model --from path/to/Qwen3.5-4B",
    "librehps init model --from Qwen/Qwen3.5-4B --axes overall,alignment --pooling mean",
)
# What torch's generators take.
MAX_SEED = 2**63 - 1
PRESETS = "nano, 0.8b, 2b, 4b, 9b, 27b"
HEADS = "multi_axis, scalar, ranknet, attention_pooling, axis_tokens"


def init(
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", show_default=False, help="A new or empty folder."),
    ],
    *,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FOLDER|ID",
            help="Qwen3.5 weights to start from: a folder or a Hugging Face id.",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Random weights of a known size: {PRESETS}."),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="tokenizer.json for a preset; without it, one token per byte of text.",
        ),
    ] = None,
    words_of: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Learn the words of these prompts, for a preset without --tokenizer: HPDv3's "
            ".json, or a prompt per line.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random weights.", min=0, max=MAX_SEED)] = 0,
    dtype: Annotated[
        str, typer.Option(metavar="NAME", help="Of the weights on disk: bfloat16, float32.")
    ] = "bfloat16",
    head: Annotated[str, typer.Option(metavar="NAME", help=f"Kind of the head: {HEADS}.")] = (
        "multi_axis"
    ),
    axes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="What the head scores, separated by commas: overall, alignment, coherence, style "
            "where it has a choice.",
        ),
    ] = None,
    hidden_sizes: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTHS",
            help="Layers between, separated by commas, where the head has a choice: an MLP instead "
            "of a linear head.",
        ),
    ] = None,
    pooling: Annotated[
        str, typer.Option(metavar="NAME", help="What the head reads: last, marked, mean.")
    ] = "last",
    min_pixels: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Smaller images are enlarged to this area; 65536 where --from has no other.",
        ),
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Larger images are reduced to this area; 1048576 where --from has no other.",
        ),
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Prompt template: text with {image} and {prompt}, or JSON {"text", "fields"}.',
        ),
    ] = None,
    revision: options.RevisionOption = None,
    local_files_only: options.OfflineOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Make a checkpoint to be trained.

    Writes a Qwen3.5 backbone with fresh heads to OUT. It is untrained: its scores mean nothing yet,
    and every command that shows them says so. A folder that is not empty is never overwritten.
    """
    if (source is None) == (preset is None):
        raise typer.BadParameter("give either --from FOLDER|ID or --preset NAME")
    if source is not None and tokenizer is not None:
        raise typer.BadParameter("--tokenizer goes with --preset; --from brings its own")
    if words_of is not None and (source is not None or tokenizer is not None):
        raise typer.BadParameter("--words-of goes with --preset and without --tokenizer")
    if preset is not None and (revision is not None or local_files_only):
        raise typer.BadParameter("--revision and --local-files-only go with --from")
    from librehps.cli import fresh

    start = fresh.Fresh.of(
        head=head,
        axes=None if axes is None else [name.strip() for name in axes.split(",")],
        hidden_sizes=None if hidden_sizes is None else _widths(hidden_sizes),
        pooling=pooling,
        dtype=dtype,
        seed=seed,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
        template=template,
    )
    fresh.check_target(out)
    if preset is not None:
        note(f"drawing {preset} with seed {seed}")
        model, processor = start.from_preset(preset, tokenizer=tokenizer, words_of=words_of)
    else:
        note(f"loading {source}")
        model, processor = start.from_weights(
            str(source), revision=revision, local_files_only=local_files_only
        )
    note(f"writing {out}")
    try:
        model.save_pretrained(out, processor=processor)
    except OSError as error:
        raise CheckpointError(
            f"cannot be written: {error}", code="ckpt_unwritable", item=str(out)
        ) from error
    backbone = sum(parameter.numel() for parameter in model.model.parameters())
    heads = sum(parameter.numel() for parameter in model.parameters()) - backbone
    note(
        "this checkpoint is untrained: "
        + ("all its weights are random" if preset is not None else "its heads are random")
    )
    if as_json:
        write_json(
            {
                "folder": str(out),
                "trained": model.trained,
                "axes": list(model.axes),
                "pooling": model.pooling,
                "dtype": dtype,
                "backbone_parameters": backbone,
                "head_parameters": heads,
            }
        )
    else:
        write_line(f"{out}: {backbone:,} backbone and {heads:,} head parameters, untrained")


def _widths(text: str) -> list[int]:
    try:
        return [int(width) for width in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(
            f"--hidden-sizes takes numbers such as 64 or 256,64: not {text!r}"
        ) from error
