"""A synthetic data set on disk: HPDv3's files, and beside each what is true of its pairs.

::

    <folder>/world.json            what makes it, so that no other world is written over it
    <folder>/<split>.json          rows as HPDv3 has them, read by `read_hpdv3`
    <folder>/<split>.truth.jsonl   a line per pair: probabilities, faults, scene
    <folder>/images/<split>/…png
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from librehps.data.hpdv3 import write_hpdv3
from librehps.data.records import Comparison
from librehps.data.synthetic.scene import Split
from librehps.data.synthetic.world import SyntheticPair, SyntheticPicture, World
from librehps.errors import ConfigError, InputError
from librehps.writing import write_lines

__all__ = ["comparison_of", "read_truth", "truth_of", "write_split"]


def write_split(
    folder: Path,
    world: World,
    split: Split,
    count: int,
    *,
    mirrored: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Comparison]:
    """Draw and write pairs ``0`` to ``count`` of a split.

    Images that are there already are not drawn again, and the two files appear at the end: a run
    that was stopped goes on where it was, and one that is complete is complete.

    Args:
        folder: Where; made if it is not there. It is for one world only.
        world: Source of the pairs.
        split: Which split.
        count: How many pairs, at least 1.
        mirrored: Whether each is followed by its `World.mirror`, if it has one.
        advance: Called with the number of pairs that are done since the last call.

    Returns:
        The comparisons, as they are in the file, in order.

    Raises:
        ConfigError: No pairs, or no such split (code ``world_value``), or the folder holds another
            world (``world_other``).
        InputError: ``world.json`` cannot be read (``data_file``).
    """
    if count < 1:
        raise ConfigError(f"{count} pairs of {split}: at least 1", code="world_value")
    name = world.name(split)
    images = folder / "images" / name
    images.mkdir(parents=True, exist_ok=True)
    _claim(folder, world)
    comparisons: list[Comparison] = []
    truth: list[dict[str, Any]] = []
    for pair in world.pairs(split, count):
        comparison = comparison_of(pair, images)
        for path, picture in ((comparison.image_a, pair.a), (comparison.image_b, pair.b)):
            _write_picture(path, world, picture)
        comparisons.append(comparison)
        truth.append(truth_of(pair))
        other = world.mirror(pair) if mirrored else None
        if other is not None:
            comparisons.append(
                replace(
                    comparison_of(other, images),
                    image_a=comparison.image_a,
                    image_b=comparison.image_b,
                )
            )
            truth.append(truth_of(other))
        advance(1)
    write_lines(folder / f"{name}.truth.jsonl", (json.dumps(row) + "\n" for row in truth))
    write_hpdv3(folder / f"{name}.json", comparisons)
    return comparisons


def comparison_of(pair: SyntheticPair, images: Path) -> Comparison:
    """Return what the annotators said of a pair; its pictures are called after it in ``images``."""
    return Comparison(
        prompt=pair.prompt,
        image_a=images / f"{pair.key}-a.png",
        image_b=images / f"{pair.key}-b.png",
        target=pair.votes["overall"] / pair.num_votes,
        axis_targets={
            axis: votes / pair.num_votes for axis, votes in pair.votes.items() if axis != "overall"
        },
        votes=pair.num_votes,
        key=pair.key,
        model_a="synthetic",
        model_b="synthetic",
    )


def truth_of(pair: SyntheticPair) -> dict[str, Any]:
    """Return what is true of a pair, as JSON data; ``a`` is the picture whose file ends in it."""

    def faults(picture: SyntheticPicture) -> list[dict[str, Any]]:
        return [
            {"kind": fault.kind, "axis": fault.axis, "strength": fault.strength}
            for fault in picture.faults
        ]

    return {
        "key": pair.key,
        "probabilities": dict(pair.probabilities),
        "faults_a": faults(pair.a),
        "faults_b": faults(pair.b),
        "shared": pair.shared,
        "num_objects": pair.scene.num_objects,
        "noise": pair.noise,
        "held_out": pair.scene.held_out,
        "scene": pair.scene.key,
    }


def read_truth(path: Path) -> dict[str, dict[str, Any]]:
    """Return what `write_split` wrote as ``<split>.truth.jsonl``, by key.

    Raises:
        InputError: The file cannot be read, or a line of it is no row with a key (code
            ``data_file``).
    """
    rows: dict[str, dict[str, Any]] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", code="data_file", item=str(path)
        ) from error
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            rows[row["key"]] = row
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InputError(
                f"line {number} is no row of a truth file, which is a JSON object with a key: "
                f"{error!r:.200}",
                code="data_file",
                item=str(path),
            ) from error
    return rows


def _claim(folder: Path, world: World) -> None:
    """Note whose folder it is, or refuse one that belongs to another world."""
    mark = folder / "world.json"
    own = {
        "seed": world.seed,
        "side": world.side,
        "faintest": world.faintest,
        "most_objects": world.most_objects,
        "placed": world.placed,
        "fault_shares": None if world.fault_shares is None else dict(world.fault_shares),
        "clutter": world.clutter,
    }
    if not mark.exists():
        write_lines(mark, [json.dumps(own) + "\n"])
    try:
        found = json.loads(mark.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"is damaged, so that nobody knows which world lies beside it ({error}): name another "
            "folder",
            code="data_file",
            item=str(mark),
        ) from error
    if found != own:
        raise ConfigError(
            f"{folder} holds the world {found}, not {own}: name another folder",
            code="world_other",
        )


def _write_picture(path: Path, world: World, picture: SyntheticPicture) -> None:
    if path.exists():
        return
    # Whole or not at all, so that what is there need not be drawn again.
    part = path.with_suffix(".part")
    Image.fromarray(world.draw(picture)).save(part, format="png", compress_level=1)
    part.replace(path)
