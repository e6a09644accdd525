"""``librehps synth``: a data set of drawn scenes with a known truth."""

from __future__ import annotations

import sys
from dataclasses import replace
from math import isnan, nan
from pathlib import Path
from typing import Annotated, Any

import typer

from librehps.cli import options
from librehps.cli.output import note, write_json, write_table
from librehps.writing import into

EPILOG = options.examples(
    "librehps synth --pairs 2000 --out world",
    "librehps synth --pairs 20000 --test 4000 --held-out 1000 --seed 7 --out world",
)
SHEET = "contact-sheet.png"
_SHOWN = 12


def synth(
    *,
    pairs: Annotated[
        int, typer.Option(metavar="N", min=1, show_default=False, help="Pairs to train on.")
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", show_default=False, help="A new folder, or one to go on with."),
    ],
    validation: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="A twentieth of --pairs if not given.")
    ] = None,
    test: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="A fifth of --pairs if not given.")
    ] = None,
    held_out: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Test pairs with combinations that training never shows; a twentieth of --pairs "
            "if not given.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other pairs.")] = 0,
    side: Annotated[int, typer.Option(min=48, max=1024, help="Of the pictures, in pixels.")] = 112,
    faintest: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=1.0,
            help="Strength of the faintest faults; a model learns sooner where none is faint.",
        ),
    ] = 0.08,
    most_objects: Annotated[
        int,
        typer.Option(
            min=1, max=4, help="Objects in a scene; a model learns sooner where there is one."
        ),
    ] = 4,
    placed: Annotated[
        bool,
        typer.Option(
            "--placed",
            help='Scenes of one object say where it is ("a red star above the middle"): a model '
            "learns that sooner than how two lie to each other.",
        ),
    ] = False,
    faults: Annotated[
        str | None,
        typer.Option(
            metavar="KIND[=SHARE],…",
            show_default=False,
            help="Only these faults, as often as the shares say, in scenes that can have them: "
            "relation=3,shape,texture practises relations.",
        ),
    ] = None,
    clutter: Annotated[
        float,
        typer.Option(
            min=1.0,
            max=100.0,
            help="How many times as noisy votes get with each object beyond the first; a model "
            "learns sooner where all are as sure as those on one object, which is 1.",
        ),
    ] = 3.0,
    mirrored: Annotated[
        bool,
        typer.Option(
            "--mirrored",
            help="Also ask for what the wrong pictures of the training pairs show: more rows, and "
            "no more pictures.",
        ),
    ] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Draw pictures that people would disagree on, and their votes.

    Every pair is one prompt and two pictures of its scene, in which something may be wrong. Votes
    come from annotators with known habits, so the true probability of each is known. The folder has
    HPDv3's layout, a file with the truth beside each split, and a contact sheet to look at. What is
    there already is not drawn again.
    """
    from librehps.data.synthetic import Split, World, contact_sheet, write_split
    from librehps.progress import progress_bar

    world = World(
        seed=seed,
        side=side,
        faintest=faintest,
        most_objects=most_objects,
        placed=placed,
        fault_shares=None if faults is None else _shares(faults),
        clutter=clutter,
    )
    strange = replace(world, held_out=True)
    plan: tuple[tuple[World, Split, int], ...] = (
        (world, "train", pairs),
        (world, "validation", pairs // 20 if validation is None else validation),
        (world, "test", pairs // 5 if test is None else test),
        (strange, "test", pairs // 20 if held_out is None else held_out),
    )
    written: dict[str, int] = {}
    with into(out):
        with progress_bar(
            "drawing", sum(count for _, _, count in plan), shown=sys.stderr.isatty()
        ) as advance:
            for source, split, count in plan:
                if count:
                    rows = write_split(
                        out,
                        source,
                        split,
                        count,
                        mirrored=mirrored and split == "train",
                        advance=advance,
                    )
                    written[source.name(split)] = len(rows)
        shown = list(world.pairs("train", min(_SHOWN, pairs)))
        contact_sheet(world, shown).save(out / SHEET)
    note(f"samples to look at: {out / SHEET}")
    if as_json:
        document: dict[str, Any] = {
            "folder": str(out),
            "seed": seed,
            "side": side,
            "faintest": faintest,
            "most_objects": most_objects,
            "placed": placed,
            "faults": None if world.fault_shares is None else dict(world.fault_shares),
            "clutter": clutter,
            "mirrored": mirrored,
        }
        write_json(document | {"pairs": written, "contact_sheet": str(out / SHEET)})
    else:
        rows = [[name, str(count), str(out / f"{name}.json")] for name, count in written.items()]
        write_table(["split", "pairs", "file"], rows)


def _shares(text: str) -> dict[str, float]:
    """Read "relation=3,shape" as shares of faults."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        kind, _, share = part.partition("=")
        try:
            number = float(share or 1.0)
        except ValueError:
            number = nan
        if isnan(number) or kind.strip() in shares:
            raise typer.BadParameter(
                f"--faults takes each kind once, such as relation=3,shape: not {part!r}"
            )
        shares[kind.strip()] = number
    return shares
