"""``librehps train``: a recipe to a trained checkpoint."""

from __future__ import annotations

import math
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from librehps.cli import options
from librehps.cli.output import note, write_json, write_line, write_table
from librehps.errors import ConfigError

EPILOG = options.examples(
    "librehps synth --pairs 2000 --out world",
    "librehps init start --preset nano --min-pixels 9216 --max-pixels 16384",
    "librehps train recipe.yaml --out run",
    "librehps train recipe.yaml --out run --resume",
    "librehps train recipe.yaml --out other run.steps=200 loss=bradley_terry",
)

# Top-level modules of the extra "train".
NEEDED = ("accelerate", "matplotlib", "tensorboard", "yaml")


def train(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", show_default=False, help="A YAML file.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            show_default=False,
            help="What shall be other than in the recipe.",
        ),
    ] = None,
    *,
    out: Annotated[
        Path, typer.Option(metavar="DIR", show_default=False, help="A new or empty folder.")
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out where it was stopped.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="cpu, or the first GPU if not given.")
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Train a checkpoint on comparisons.

    The recipe names a checkpoint to start from, HPDv3 files, a loss, and how long to learn. The
    folder gets best/ and last/ (checkpoints to score with), log.jsonl, curves.png, TensorBoard's
    events, and snapshots from which --resume goes on as if nothing had happened.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"training needs {', '.join(missing)}: pip install 'librehps[train]'",
            code="train_missing",
        )
    import torch
    from accelerate import PartialState

    from librehps.training import read_recipe
    from librehps.training import train as run
    from librehps.training.snapshot import latest_snapshot

    settings = read_recipe(recipe, overrides or [])
    if resume and (out / "recipe.json").exists() and latest_snapshot(out / "snapshots") is None:
        note(f"{out} has no snapshot yet: its run begins again")
    try:
        result = run(settings, out, resume=resume, device=device, progress=sys.stderr.isatty())
        reports = PartialState().is_main_process
    finally:
        # Threads of a group that is still there abort the process at its end, now and then.
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    if not reports:
        return
    if result.bad_pairs:
        note(f"{result.bad_pairs} pairs were left out; see {out / 'bad-pairs.jsonl'}")
    if result.bad_rows:
        note(f"{result.bad_rows} rows cannot be read; see {out / 'bad-rows-*.jsonl'}")
    if result.below_confidence:
        note(f"{result.below_confidence} rows are below data.min_confidence and were left out")
    if as_json:
        write_json(
            {
                "folder": str(out),
                "steps": result.steps,
                "stopped_early": result.stopped_early,
                "best_step": result.best_step,
                "bad_pairs": result.bad_pairs,
                "bad_rows": result.bad_rows,
                "below_confidence": result.below_confidence,
                "validation": None if result.last is None else result.last.to_dict(),
            }
        )
        return
    if result.last is not None:
        rows = [
            [axis, str(found.decided), *map(_cell, (found.accuracy, found.bernoulli))]
            for axis, found in result.last.axes.items()
        ]
        write_table(["axis", "decided pairs", "accuracy", "nats per vote"], rows)
    best = (
        "; no best/, since the recipe names no data.validation"
        if result.best_step is None
        else f"; best at step {result.best_step}"
    )
    write_line(f"{out / 'last'}: {result.steps} steps{best}")


def _cell(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "-"
