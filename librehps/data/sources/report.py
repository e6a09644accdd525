"""What a reading came to: how many records, what was left out, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from librehps.data.sources.protocol import Record, Row
from librehps.errors import InputError

__all__ = ["BadRow", "Report", "Tally"]

#: Bad rows that a report quotes; all are counted, and all are in the file of bad rows.
QUOTED = 1000


@dataclass(frozen=True)
class BadRow:
    """A row that could not be used.

    Args:
        file: Name of its file.
        row: Its number in the file, from 0.
        line: The line that it begins in, from 1; ``None`` where the format has no lines.
        key: What identifies it.
        code: The error's stable name.
        message: What was wrong, where, and what to do.
    """

    file: str
    row: int
    line: int | None
    key: str
    code: str
    message: str

    @property
    def place(self) -> str:
        """The file with the line or the row, for a message."""
        row = f"row {self.row}" if self.line is None else f"line {self.line} (row {self.row})"
        return f"{self.file} {row}"


@dataclass(frozen=True)
class Report:
    """What was read so far.

    Args:
        rows: Rows that were gone through; those that records came of, ``dropped`` and ``bad``
            add up to them.
        records: Records that came of them, by kind: ``"comparison"``, ``"ranking"``, ``"rating"``.
        dropped: Sound rows that were left out, by reason.
        bad: Rows that could not be used, by the error's code.
        bad_rows: The first 1000 of those.
        finished: Whether the end was reached.
    """

    rows: int
    records: Mapping[str, int]
    dropped: Mapping[str, int]
    bad: Mapping[str, int]
    bad_rows: tuple[BadRow, ...]
    finished: bool

    @property
    def num_bad(self) -> int:
        """How many rows could not be used."""
        return sum(self.bad.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        return {
            "rows": self.rows,
            "records": dict(self.records),
            "dropped": dict(self.dropped),
            "bad": dict(self.bad),
            "bad_rows": [vars(row) for row in self.bad_rows],
            "finished": self.finished,
        }


@dataclass
class Tally:
    """A report in the making."""

    rows: int = 0
    records: Counter[str] = field(default_factory=Counter[str])
    dropped: Counter[str] = field(default_factory=Counter[str])
    bad: Counter[str] = field(default_factory=Counter[str])
    bad_rows: list[BadRow] = field(default_factory=list[BadRow])
    finished: bool = False

    def count(self, record: Record) -> None:
        """Count a record that is handed on."""
        self.records[type(record).__name__.lower()] += 1

    def note(self, row: Row, error: InputError) -> BadRow:
        """Count and quote a row that cannot be used."""
        bad = BadRow(
            file=row.file,
            row=row.index,
            line=row.line,
            key=row.name,
            code=error.code,
            message=error.message if error.item in (None, row.name) else str(error),
        )
        self.bad[error.code] += row.span
        if len(self.bad_rows) < QUOTED:
            self.bad_rows.append(bad)
        return bad

    def report(self) -> Report:
        """Return what was counted so far."""
        return Report(
            rows=self.rows,
            records=dict(self.records),
            dropped=dict(self.dropped),
            bad=dict(self.bad),
            bad_rows=tuple(self.bad_rows),
            finished=self.finished,
        )
