"""Reading any data set: one record at a time, each checked, with a report of what was left out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from librehps.data.records import Comparison, Ranking
from librehps.data.sources.columns import Columns
from librehps.data.sources.files import find_files
from librehps.data.sources.images import ImageFiles
from librehps.data.sources.protocol import SOURCES, Dropped, Record, Row, Source
from librehps.data.sources.report import BadRow, Report, Tally
from librehps.data.sources.seen import SeenKeys
from librehps.data.sources.tables import TableSource
from librehps.errors import ConfigError, InputError
from librehps.writing import write_lines

__all__ = ["Reading", "make_source", "read"]

# How many bad rows an error quotes; all are in the file.
_QUOTED = 5
#: Rows from which on a file that is bad through and through is given up.
EARLY_ROWS = 1000
# It is given up at so many times the allowed share of bad rows, or at half of the rows.
_EARLY_TIMES, _EARLY_SHARE = 10.0, 0.5


class Reading:
    """The records of a data set. Iterating reads the files; each time anew.

    A file of which far more rows are bad than is allowed is not read to its end: from the 1000th
    row on, a reading stops where the share of bad rows so far is above ten times
    ``max_bad_share``, or above half where that is less, and above ``max_bad_share`` in any case.

    Memory does not grow with the files, but for the marks of keys (`SeenKeys`) where rows bring
    keys of their own.

    Args:
        source: What the files look like.
        files: The files, in their order.
        images: Where images are.
        strict: Whether the first bad row stops the reading.
        max_bad_share: The largest share of bad rows that is put up with at the end.
        bad_rows: File that all bad rows are listed in, as JSON lines; ``None`` for none.
        on_bad: Called with each bad row.

    Raises:
        ConfigError: A share that is negative or NaN (code ``data_value``).
    """

    def __init__(
        self,
        source: Source,
        files: tuple[Path, ...],
        images: ImageFiles,
        *,
        strict: bool = False,
        max_bad_share: float = 0.01,
        bad_rows: Path | None = None,
        on_bad: Callable[[BadRow], None] = lambda bad: None,
    ) -> None:
        if not max_bad_share >= 0:
            raise ConfigError(
                f"max_bad_share is {max_bad_share}; it must be at least 0", code="data_value"
            )
        self.source = source
        self.files = files
        self.images = images
        self.strict = strict
        self.max_bad_share = max_bad_share
        self.bad_rows = bad_rows
        self.on_bad = on_bad
        self._tally = Tally()

    @property
    def report(self) -> Report:
        """What the last pass came to so far."""
        return self._tally.report()

    def __iter__(self) -> Iterator[Record]:
        """Go through the records.

        Raises:
            InputError: A file as a whole is not what it should be; a bad row, where that is
                ``strict``; or more bad rows than ``max_bad_share`` (code ``data_bad_rows``).
            ConfigError: A package or a folder for images is missing.
        """
        for _, _, records in self.by_row():
            for record in records:
                self._tally.count(record)
                yield record

    def by_row(self) -> Iterator[tuple[int, Row, Sequence[Record]]]:
        """Go through the rows that records come of.

        Yields:
            The number of the row from 0, counted through all files, bad and dropped rows too; the
            row; and its records, at least one. They are not counted in the report.

        Raises:
            InputError: See `__iter__`.
            ConfigError: See `__iter__`.
        """
        self._tally = tally = Tally()
        seen = SeenKeys()
        with tempfile.TemporaryFile("w+", encoding="utf-8") as listing:
            try:
                for file in self.files:
                    for row in self.source.rows(file):
                        number = tally.rows
                        tally.rows += row.span
                        records = self._records(row, seen, tally, listing)
                        if records:
                            yield number, row, records
                        elif self._is_hopeless(tally):
                            self._check_share(tally.report())
                tally.finished = True
            finally:
                if self.bad_rows is not None:
                    listing.seek(0)
                    write_lines(self.bad_rows, listing)
        self._check_share(tally.report())

    def _is_hopeless(self, tally: Tally) -> bool:
        """Return whether so many rows are bad that the rest will hardly make up for it."""
        limit = max(self.max_bad_share, min(_EARLY_TIMES * self.max_bad_share, _EARLY_SHARE))
        return tally.rows >= EARLY_ROWS and sum(tally.bad.values()) > limit * tally.rows

    def _records(
        self, row: Row, seen: SeenKeys, tally: Tally, listing: IO[str]
    ) -> Sequence[Record]:
        """Return what a row says, or note why it says nothing."""
        try:
            if row.fault is not None:
                raise row.fault
            found = self.source.records(row, self.images)
            if isinstance(found, Dropped):
                tally.dropped[found.reason] += row.span
                return ()
            # All of a row or nothing of it: what comes of it is handed on when all was checked.
            for record in found:
                _check(record)
            _check_new(found, row, seen)
        except InputError as error:
            bad = tally.note(row, error)
            listing.write(json.dumps(vars(bad)) + "\n")
            self.on_bad(bad)
            if self.strict:
                raise InputError(bad.message, code=bad.code, item=bad.place) from error
            return ()
        return found

    def _check_share(self, report: Report) -> None:
        if report.num_bad <= self.max_bad_share * report.rows:
            return
        quoted = "; ".join(f"{bad.place}: {bad.message}" for bad in report.bad_rows[:_QUOTED])
        first = "" if report.finished else "the first "
        raise InputError(
            f"{report.num_bad} of {first}{report.rows} rows cannot be used, more than the share of "
            f"{self.max_bad_share:g} that is allowed: {quoted}"
            + (f"; all are listed in {self.bad_rows}" if self.bad_rows is not None else ""),
            code="data_bad_rows",
            item=str(self.files[0] if len(self.files) == 1 else self.files[0].parent),
        )


def read(
    source: str | Source,
    path: str | Path,
    *,
    columns: Columns | None = None,
    root: str | Path | None = None,
    image_cache: str | Path | None = None,
    allow_outside: bool = False,
    check_files: bool = False,
    strict: bool = False,
    max_bad_share: float = 0.01,
    bad_rows: str | Path | None = None,
) -> Reading:
    """Read a data set.

    Args:
        source: A name in `SOURCES`, or a source with settings of its own.
        path: A file, or a folder with all files of the set.
        columns: Which column is what, for ``csv``, ``jsonl``, ``parquet`` and ``webdataset``.
        root: Folder that the paths of images start from; the folder of the files if ``None``.
        image_cache: Folder that images are written to which come as bytes.
        allow_outside: Whether a row may name a file outside ``root``.
        check_files: Whether an image that is not there makes a row bad.
        strict: Whether the first bad row stops the reading.
        max_bad_share: The largest share of bad rows; more of them raise when the end is reached,
            or earlier where they are far more (see `Reading`).
        bad_rows: File that all bad rows are listed in, as JSON lines.

    Returns:
        The records, to be iterated over; its ``report`` says what was left out.

    Raises:
        ConfigError: No such source (code ``name_unknown``), columns for a set that has its own
            (``data_columns``), or a negative share (``data_value``).
        InputError: There is no such file (code ``data_file``).
    """
    chosen = make_source(source, columns) if isinstance(source, str) else source
    if columns is not None and not isinstance(source, str):
        raise ConfigError("a source has its columns already", code="data_columns")
    where = Path(path)
    files = find_files(where, chosen.suffixes)
    images = ImageFiles(
        root=files[0].parent if root is None else Path(root),
        cache=None if image_cache is None else Path(image_cache),
        allow_outside=allow_outside,
        check_files=check_files,
    )
    return Reading(
        chosen,
        files,
        images,
        strict=strict,
        max_bad_share=max_bad_share,
        bad_rows=None if bad_rows is None else Path(bad_rows),
    )


def make_source(name: str, columns: Columns | None = None) -> Source:
    """Return a source by its name.

    Args:
        name: A name in `SOURCES`.
        columns: Which column is what, for a table; `Columns` as it is if ``None``.

    Raises:
        ConfigError: No such source (code ``name_unknown``), or columns for a set that has its own
            (``data_columns``).
    """
    kind = SOURCES[name]
    if columns is None:
        return kind()
    if not issubclass(kind, TableSource):
        raise ConfigError(f"{name} has columns of its own; none can be given", code="data_columns")
    return kind(columns)


def _check(record: Record) -> None:
    """Refuse what no record of any set should be."""
    if isinstance(record, Comparison):
        images = [record.image_a, record.image_b]
    elif isinstance(record, Ranking):
        images = list(record.images)
    else:
        images = [record.image]
    if len(set(images)) < len(images):
        raise InputError("the same image is there twice", code="data_same_image")
    if "\0" in record.prompt or "\0" in record.key:
        raise InputError("the prompt or the key holds a NUL", code="data_encoding")


def _check_new(records: Sequence[Record], row: Row, seen: SeenKeys) -> None:
    """Refuse a key that an earlier row had; those that name file and row are new by themselves."""
    own = f"{row.file}#{row.index}"
    for record in records:
        if not record.key.startswith(own) and not seen.add(record.key):
            raise InputError(
                f"the key {record.key!r:.100} stood in an earlier row", code="data_duplicate"
            )
