"""HPDv3's JSON files: a list of rows with two images each, the first the preferred one.

A row is ``{"prompt", "path1", "path2", "model1", "model2", "choice_dist", "confidence"}``.
``choice_dist`` holds the votes for either image and ``confidence`` a probability; both are null in
a good part of the published rows, and the test file has neither. What the format has no place
for goes into one more key, ``librehps``, which other readers ignore.

The published train file is read whole (it is about a gigabyte); rows are checked one by one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from librehps.data.fields import (
    bad_field,
    image_path,
    number,
    optional_number,
    optional_text,
    text,
)
from librehps.data.records import Comparison
from librehps.errors import ConfigError, InputError
from librehps.writing import into, write_lines

__all__ = ["BadRow", "HPDv3", "comparison_from_row", "read_hpdv3", "write_hpdv3"]

_MAX_BYTES = 4_000_000_000
_EXCERPT = 200
# How many bad rows an error quotes; all are in the file.
_QUOTED = 5
# Of one pair, as in a table: more is no number of people.
_MAX_VOTES = 10**9


@dataclass(frozen=True)
class BadRow:
    """A row that could not be read.

    Args:
        index: Its place in the file, from 0.
        reason: What was wrong with it.
        excerpt: How it begins.
    """

    index: int
    reason: str
    excerpt: str


@dataclass(frozen=True)
class HPDv3:
    """What a file held.

    Args:
        comparisons: The good rows, in the order of the file.
        rows: How many rows there were.
        below_confidence: How many were left out for the threshold.
        bad: Those that could not be read. None of them was replaced by another row.
    """

    comparisons: tuple[Comparison, ...]
    rows: int
    below_confidence: int
    bad: tuple[BadRow, ...]


def read_hpdv3(
    path: Path | str,
    *,
    root: Path | str | None = None,
    min_confidence: float | None = None,
    check_files: bool = False,
    max_bad_share: float = 0.01,
    bad_rows: Path | str | None = None,
) -> HPDv3:
    """Read a file.

    The target is the share of votes for ``path1`` where there are votes, even where the majority is
    against it, and 1 where there are none: ``path1`` is preferred by convention.

    Args:
        path: The JSON file.
        root: Folder that the images' paths start from; the file's own folder if ``None``.
        min_confidence: Rows that are less sure are left out; rows of unknown confidence stay.
        check_files: Whether an image that is not there makes a row bad.
        max_bad_share: The largest share of bad rows that is put up with.
        bad_rows: File that all bad rows are listed in, as JSON lines.

    Raises:
        InputError: No such file, too large a file, or no list of rows (code ``data_file``); or more
            bad rows than allowed (``data_bad_rows``); or ``bad_rows`` cannot be written
            (``out_unwritable``).
        ConfigError: A threshold or a share that is negative or NaN (code ``data_value``).
    """
    for name, share in (("max_bad_share", max_bad_share), ("min_confidence", min_confidence)):
        if share is not None and not share >= 0:
            raise ConfigError(f"{name} is {share}; it must be at least 0", code="data_value")
    path = Path(path)
    listed = _load(path)
    image = partial(image_path, base=path.parent if root is None else Path(root))
    comparisons: list[Comparison] = []
    bad: list[BadRow] = []
    below = 0
    for index, row in enumerate(listed):
        try:
            comparison = comparison_from_row(row, image, key=f"{path.name}#{index}")
            if check_files:
                _check_files(comparison)
        except InputError as error:
            excerpt = json.dumps(row)[:_EXCERPT]
            bad.append(BadRow(index=index, reason=error.message, excerpt=excerpt))
            continue
        sure = comparison.confidence
        if min_confidence is not None and sure is not None and sure < min_confidence:
            below += 1
            continue
        comparisons.append(comparison)
    if bad_rows is not None:
        with into(Path(bad_rows)):
            write_lines(Path(bad_rows), (json.dumps(vars(row)) + "\n" for row in bad))
    if len(bad) > max_bad_share * len(listed):
        quoted = "; ".join(f"row {row.index}: {row.reason}" for row in bad[:_QUOTED])
        raise InputError(
            f"{len(bad)} of {len(listed)} rows cannot be read, more than the share of "
            f"{max_bad_share:g} that is allowed: {quoted}"
            + (f"; all are listed in {bad_rows}" if bad_rows is not None else ""),
            code="data_bad_rows",
            item=str(path),
        )
    return HPDv3(
        comparisons=tuple(comparisons), rows=len(listed), below_confidence=below, bad=tuple(bad)
    )


def write_hpdv3(
    path: Path | str, comparisons: Iterable[Comparison], *, root: Path | str | None = None
) -> None:
    """Write a file that `read_hpdv3` gives back as it was, up to which image comes first.

    The preferred image becomes ``path1``. Votes are written where the target is a whole number of
    them.

    Args:
        path: The file; it appears whole or not at all.
        comparisons: What to write.
        root: Folder that the paths are written relative to; the file's own folder if ``None``.

    Raises:
        InputError: An image that is not inside ``root`` (code ``data_outside``), or what would be
            read back as a bad row (the code that reading has for it).
    """
    path = Path(path)
    base = path.parent if root is None else Path(root)

    def lines() -> Iterable[str]:
        separator = "[\n"
        for index, comparison in enumerate(comparisons):
            line = json.dumps(_row(comparison, base), ensure_ascii=False)
            try:
                comparison_from_row(json.loads(line), partial(image_path, base=base), key="")
            except InputError as error:
                raise InputError(
                    f"cannot be written, since nobody could read it: {error.message}",
                    code=error.code,
                    item=f"comparisons[{index}]",
                ) from error
            yield separator + line
            separator = ",\n"
        yield "[]\n" if separator == "[\n" else "\n]\n"

    write_lines(path, lines())


def _load(path: Path) -> list[Any]:
    try:
        written = _read(path)
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", code="data_file", item=str(path)
        ) from error
    try:
        listed = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"is not valid JSON ({error})", code="data_file", item=str(path)
        ) from error
    if not isinstance(listed, list):
        raise InputError(
            f"holds a JSON {type(listed).__name__}, not a list of rows",
            code="data_file",
            item=str(path),
        )
    return cast("list[Any]", listed)


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise InputError("there is no such file", code="data_file", item=str(path))
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise InputError(
            f"has {size} bytes; at most {_MAX_BYTES} are read", code="data_file", item=str(path)
        )
    return path.read_bytes()


def comparison_from_row(
    row: Any, image: Callable[[Mapping[str, Any], str], Path], *, key: str
) -> Comparison:
    """Turn one row of a file into a comparison.

    Args:
        row: What stands in the list.
        image: Returns the path of the image that a field of the row names.
        key: What identifies the row where it does not say so itself.

    Raises:
        InputError: It is no row, or something in it is wrong (code ``data_row``, or what ``image``
            and `Comparison` raise).
    """
    if not isinstance(row, dict):
        raise bad_field(f"is a JSON {type(row).__name__}, not an object")
    fields = cast("dict[str, Any]", row)
    extra = _extra(fields)
    votes = _votes(fields.get("choice_dist"))
    total = None if votes is None else sum(votes)
    target = 1.0 if votes is None or not total else votes[0] / total
    stored = extra.get("target")
    if extra.get("votes") is not None:
        total = extra["votes"]
        if type(total) is not int:
            raise bad_field(f"librehps.votes is {total!r:.100}, not a whole number")
        if total > _MAX_VOTES:
            raise bad_field(f"librehps.votes is {total!r:.100}; at most {_MAX_VOTES}")
    return Comparison(
        prompt=text(fields, "prompt"),
        image_a=image(fields, "path1"),
        image_b=image(fields, "path2"),
        target=target if stored is None else number("librehps.target", stored),
        axis_targets=_axis_targets(extra.get("axis_targets")),
        votes=total,
        confidence=optional_number(fields, "confidence"),
        key=optional_text(extra, "key") or key,
        model_a=optional_text(fields, "model1"),
        model_b=optional_text(fields, "model2"),
    )


def _row(comparison: Comparison, base: Path) -> dict[str, Any]:
    turned = comparison.target < 0.5
    first = comparison.swapped() if turned else comparison
    votes = None
    if comparison.votes is not None and comparison.votes <= _MAX_VOTES:
        # Asked of what was said: one less a share is rounded.
        won = round(comparison.target * comparison.votes)
        if won / comparison.votes == comparison.target:
            votes = [won, comparison.votes - won]
            if turned:
                votes.reverse()
    extra: dict[str, Any] = {"key": first.key} if first.key else {}
    if first.axis_targets:
        extra["axis_targets"] = dict(first.axis_targets)
    # Turned round, a share may be a rounding away from that of the votes turned round.
    stated = None if votes is None else votes[0] / sum(votes)
    if first.target != (1.0 if stated is None else stated) or (votes is None and first.votes):
        extra["target"] = first.target
    if votes is None and first.votes is not None:
        extra["votes"] = first.votes
    row = {
        "prompt": first.prompt,
        "path1": _relative(first.image_a, base),
        "path2": _relative(first.image_b, base),
        "model1": first.model_a,
        "model2": first.model_b,
        "choice_dist": votes,
        "confidence": first.confidence,
    }
    return row | ({"librehps": extra} if extra else {})


def _relative(image: Path, base: Path) -> str:
    # By its name, as links below the folder are followed in reading, too; and what that puts
    # outside may still be inside under another name.
    inside = _inside(image.absolute(), base.absolute()) or _inside(image.resolve(), base.resolve())
    if inside is None:
        raise InputError(f"lies outside {base}", code="data_outside", item=str(image))
    return inside


def _inside(image: Path, folder: Path) -> str | None:
    if not image.is_relative_to(folder):
        return None
    inside = image.relative_to(folder)
    # Where ".." leads is up to the links before it.
    return None if ".." in inside.parts else inside.as_posix()


def _votes(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    counts = cast("list[Any]", value) if isinstance(value, list) else []
    if len(counts) != 2 or not all(type(count) is int and count >= 0 for count in counts):
        raise bad_field(f"choice_dist is {value!r:.100}, not two numbers of votes")
    if sum(counts) > _MAX_VOTES:
        raise bad_field(f"choice_dist is {value!r:.100}: at most {_MAX_VOTES} votes")
    # Nobody voted: that says no more than null does.
    return (counts[0], counts[1]) if sum(counts) else None


def _extra(fields: Mapping[str, Any]) -> dict[str, Any]:
    extra = fields.get("librehps", {})
    if not isinstance(extra, dict):
        raise bad_field(f"librehps is {extra!r:.100}, not an object")
    return cast("dict[str, Any]", extra)


def _axis_targets(value: Any) -> dict[str, float]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_field(f"axis_targets is {value!r:.100}, not an object")
    targets = cast("dict[str, Any]", value)
    return {name: number(name, target) for name, target in targets.items()}


def _check_files(comparison: Comparison) -> None:
    for image in (comparison.image_a, comparison.image_b):
        try:
            there = image.is_file()
        except OSError as error:
            # A name may be too long for the file system.
            raise bad_field(
                f"no image can be called {image.name!r:.100} ({error.strerror})"
            ) from error
        if not there:
            raise bad_field(f"there is no image {image.name!r:.100}")
