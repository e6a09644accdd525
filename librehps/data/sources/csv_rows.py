"""Rows of a CSV file, one at a time.

A row is put together from lines until its quotes are closed, and is parsed by itself then. A
parser that is fed the whole file takes a quote that is never closed for a field that goes on to the
end of the file, and with it every row behind the damage.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from librehps.data.sources.files import open_file
from librehps.data.sources.protocol import Row
from librehps.data.sources.text_lines import decode_line, text_lines
from librehps.errors import InputError

__all__ = ["csv_rows"]

#: Bytes of a row, and letters of a field.
MAX_ROW = 2**20
MAX_FIELD = 2**16
_MAX_COLUMNS = 1000
# A prompt with more lines than this is taken for a quote that was never closed.
_MAX_LINES = 1000


def csv_rows(file: Path, *, needed: tuple[str, ...]) -> Iterator[Row]:
    """Go through a CSV file (RFC 4180, UTF-8) with names in its first row.

    Fields are texts; an empty one is ``None``. A row with another number of fields than there are
    names, with quotes that do not fit, with a NUL or bytes that are not UTF-8, or that is too long
    is a row with a fault, and the next one is looked for from its second line on.

    Args:
        file: The file.
        needed: Names without which the file makes no sense.

    Raises:
        InputError: The file cannot be read (code ``data_file``), or its first row is no row of
            names, repeats one, or lacks one that is needed (``data_columns``).
    """
    with open_file(file) as opened:
        lines = _Lines(opened)
        names = _header(lines, file, needed)
        index = 0
        while (row := lines.take()) is not None:
            line, raw = row
            if raw.strip() == b"":
                continue
            try:
                values = lines.row(line, raw, len(names))
            except InputError as error:
                yield Row(file.name, index, line, fault=error)
            else:
                fields = {name: value or None for name, value in zip(names, values, strict=True)}
                yield Row(file.name, index, line, fields)
            index += 1


class _Lines:
    """The lines of a file, of which some can be put back."""

    def __init__(self, file: IO[bytes]) -> None:
        self._lines = text_lines(file, MAX_ROW)
        self._again: deque[tuple[int, bytes]] = deque()

    def take(self) -> tuple[int, bytes] | None:
        """Return the next line and its number, None at the end."""
        return self._again.popleft() if self._again else next(self._lines, None)

    def row(self, line: int, raw: bytes, columns: int | None) -> list[str]:
        """Return the fields of the row that begins with a line.

        Raises:
            InputError: They are not to be made out; the lines behind the first are put back.
        """
        taken: list[tuple[int, bytes]] = []
        try:
            size, quotes = len(raw), raw.count(b'"')
            while quotes % 2:
                following = self.take()
                if following is not None:
                    taken.append(following)
                    size += len(following[1])
                    quotes += following[1].count(b'"')
                if following is None or size > MAX_ROW or len(taken) > _MAX_LINES:
                    raise InputError("a quote is not closed", code="data_syntax")
            whole = "".join(decode_line(one, MAX_ROW) for one in (raw, *(r for _, r in taken)))
            return _parse(whole, columns)
        except InputError:
            self._again.extendleft(reversed(taken))
            raise


def _header(lines: _Lines, file: Path, needed: tuple[str, ...]) -> list[str]:
    first = lines.take()
    try:
        names = [] if first is None else lines.row(*first, None)
    except InputError as error:
        raise InputError(
            f"the row of names {error.message}", code="data_columns", item=str(file)
        ) from error
    wrong = None
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        wrong = f"the column {twice!r:.100} is there twice"
    elif missing := [name for name in needed if name not in names]:
        there = ", ".join(names[:50])
        wrong = f"has no column {missing[0]!r}; its columns are {there[:1000] or 'none'}"
    elif len(names) > _MAX_COLUMNS:
        wrong = f"has {len(names)} columns; at most {_MAX_COLUMNS} are read"
    if wrong is not None:
        raise InputError(wrong, code="data_columns", item=str(file))
    return names


def _parse(whole: str, columns: int | None) -> list[str]:
    try:
        values = next(csv.reader([whole], strict=True))
    except csv.Error as error:
        raise InputError(f"is no row of CSV ({error})", code="data_syntax") from error
    if columns is not None and len(values) != columns:
        raise InputError(
            f"has {len(values)} fields where the first row has {columns} names", code="data_syntax"
        )
    for value in values:
        if len(value) > MAX_FIELD:
            raise InputError(
                f"has a field of {len(value):,} letters; at most {MAX_FIELD:,} are read",
                code="data_too_long",
            )
    return values
