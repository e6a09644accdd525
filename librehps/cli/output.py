"""How the command speaks: results on stdout as a table or as JSON, notes on stderr.

On a terminal a table is drawn; through a pipe it is tab-separated lines with a header and no
colour, so that ``cut`` and ``sort`` work on it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from librehps.errors import ConfigError, LibreHPSError
from librehps.results import AXIS_FIELDS, AxisScore, Score


def write_json(document: Mapping[str, Any]) -> None:
    """Write one JSON document to stdout, in ASCII: no file name can break the encoding."""
    _emit(json.dumps(document, indent=2, allow_nan=False) + "\n")


def write_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Write a table to stdout: drawn on a terminal, tab-separated otherwise.

    Args:
        columns: Names of the columns.
        rows: Cells, one row per result.
        title: Shown above a drawn table only.
    """
    if not sys.stdout.isatty():
        for row in [columns, *rows]:
            _emit("\t".join(printable(cell) for cell in row) + "\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text, because a file name may hold square brackets, which rich would read as markup.
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(highlight=False).print(table)


def write_line(text: str) -> None:
    """Write one line of results to stdout."""
    _emit(printable(text) + "\n")


def _emit(text: str) -> None:
    """Write to stdout, now: what a full disk does not take is an error, and not lost at the end."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has enough.
        raise
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error}", code="out_unwritable", item="stdout"
        ) from error


def note(text: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(f"librehps: {printable(text)}\n")
    sys.stderr.flush()


def note_left_out(out: Path, *, items: int, rows: int) -> bool:
    """Say how much was left out of the results in a folder; return whether anything was.

    Args:
        out: The folder, with the lists of it.
        items: Pictures without a score.
        rows: Rows that could not be read.
    """
    from librehps.evaluate.run import BAD_ITEMS, BAD_ROWS

    if items:
        note(f"{items} pictures have no score; see {out / BAD_ITEMS}")
    if rows:
        note(f"{rows} rows cannot be read; see {out / BAD_ROWS}")
    return bool(items or rows)


def note_error(error: LibreHPSError) -> None:
    """Write an error and its code to stderr, without a traceback."""
    note(f"error: {error} [{error.code}]")


def printable(text: str) -> str:
    """Return ``text`` on one line, with escapes for what a terminal or a pipe could not take.

    File names come from anywhere: they may hold tabs, newlines, terminal control sequences, and
    bytes that are no text at all.
    """
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def axis_columns(scores: Sequence[Score]) -> list[str]:
    """Return the axes that any of ``scores`` has, in the order of the legend."""
    return [name for name in AXIS_FIELDS if any(name in score.axes for score in scores)]


def axis_cell(score: AxisScore | None) -> str:
    """Return ``mean ± sigma`` with four decimals, or as much of it as there is."""
    if score is None:
        return "-"
    return f"{score.mean:.4f}" if score.sigma is None else f"{score.mean:.4f} ± {score.sigma:.4f}"
