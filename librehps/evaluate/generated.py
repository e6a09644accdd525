"""Pictures of generators, with what each should show: what a generator benchmark is made of.

Either a file, in which a row says all of a picture::

    [{"image": "a/1.png", "prompt": "a cat", "generator": "a", "category": "animals"}, …]

or lines of such objects; ``model`` means the same as ``generator``, and without a category a
picture is in that called ``all``. Or folders, see :mod:`librehps.evaluate.generator_folders`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from librehps.data.fields import bad_field, image_path, optional_text, text
from librehps.data.sources.json_rows import json_rows
from librehps.data.sources.protocol import Row
from librehps.data.sources.report import BadRow
from librehps.errors import InputError
from librehps.evaluate.scoring import BadItem
from librehps.registry import nearest

__all__ = ["UNNAMED_CATEGORY", "GeneratedPicture", "GeneratedSet", "demand_few", "read_rows"]

#: The category of rows that name none.
UNNAMED_CATEGORY = "all"
#: Tables and pages grow with the square of it. A file with more has put something else there.
MAX_NAMES = 200

_KEYS = ("image", "prompt", "generator", "model", "category")


@dataclass(frozen=True)
class GeneratedPicture:
    """A picture of a generator.

    Args:
        generator: Whose it is.
        category: Which part of the benchmark it is of.
        prompt: What it should show.
        image: Its file, which need not be there.
    """

    generator: str
    category: str
    prompt: str
    image: Path


@dataclass(frozen=True)
class GeneratedSet:
    """What a benchmark holds.

    Args:
        pictures: Every picture that there should be, in the order of the data.
        images: Folder that paths of images are shown relative to.
        layout: ``"rows"`` or ``"folders"``.
        sha256: Of the file, as 64 hexadecimal digits; ``None`` for folders.
        num_rows: Rows in the file; 0 for folders.
        bad_rows: Those that could not be read.
        bad_items: Pictures without a prompt.
        notes: What else was found, in sentences.
    """

    pictures: tuple[GeneratedPicture, ...]
    images: Path
    layout: str
    sha256: str | None = None
    num_rows: int = 0
    bad_rows: tuple[BadRow, ...] = ()
    bad_items: tuple[BadItem, ...] = ()
    notes: tuple[str, ...] = ()


def read_rows(path: Path) -> GeneratedSet:
    """Read a file with a row for each picture; bad rows are in what is returned, however many.

    Args:
        path: A list of JSON objects, or a line each. Images lie beside it or below.

    Raises:
        InputError: No such file, or no row in it (code ``data_file``); a list without an end
            (``data_truncated``); or see :func:`demand_few`.
    """
    pictures: dict[GeneratedPicture, int] = {}
    bad: list[BadRow] = []
    for row in json_rows(path):
        try:
            picture = _picture(row, path.parent)
            if picture in pictures:
                raise bad_field(f"says what row {pictures[picture]} has said already")
            pictures[picture] = row.index
        except InputError as error:
            where = (row.file, row.index, row.line, row.name)
            bad.append(BadRow(*where, error.code, error.message))
    if not pictures and not bad:
        raise InputError("holds no picture", code="data_file", item=str(path))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    num_rows = len(pictures) + len(bad)
    found = GeneratedSet(tuple(pictures), path.parent, "rows", digest, num_rows, tuple(bad))
    demand_few(found, item=str(path))
    return found


def demand_few(found: GeneratedSet, *, item: str) -> None:
    """Refuse data with more generators or categories than a table can be made of.

    Args:
        found: The data.
        item: What it is called in the error.

    Raises:
        InputError: More than 200 of either (code ``leaderboard_names``).
    """
    for what, names in (
        ("generators", {picture.generator for picture in found.pictures}),
        ("categories", {picture.category for picture in found.pictures}),
    ):
        if len(names) > MAX_NAMES:
            raise InputError(
                f"names {len(names)} {what}, such as {min(names)!r:.100}; at most {MAX_NAMES} are "
                "compared: is it the right key, or the right folder?",
                code="leaderboard_names",
                item=item,
            )


def _picture(row: Row, base: Path) -> GeneratedPicture:
    if row.fault is not None:
        raise row.fault
    fields: dict[str, Any] = dict(row.fields)
    for key in fields:
        if key not in _KEYS:
            # Passed over, a category that is misspelt would be nowhere, and nobody told.
            raise bad_field(f"has the key {key!r:.100}{nearest(key, _KEYS)}")
    generators = [name for name in ("generator", "model") if fields.get(name) is not None]
    if len(generators) != 1:
        raise bad_field("must have one of the keys generator and model, which mean the same")
    return GeneratedPicture(
        generator=text(fields, generators[0]),
        category=optional_text(fields, "category") or UNNAMED_CATEGORY,
        prompt=text(fields, "prompt"),
        image=image_path(fields, "image", base),
    )
