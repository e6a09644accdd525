"""Reading any data set: one record at a time, each checked, with a report of what was left out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from librehps.data.records import Comparison, Ranking
from librehps.data.sources.columns import Columns
from librehps.data.sources.files import find_files
from librehps.data.sources.images import ImageFiles
from librehps.data.sources.protocol import SOURCES, Dropped, Record, Row, Source
from librehps.data.sources.report import Report, Tally
from librehps.data.sources.seen import SeenKeys
from librehps.data.sources.tables import TableSource
from librehps.errors import ConfigError, InputError
from librehps.writing import write_lines

__all__ = ["Reading", "read"]

# How many bad rows an error quotes; all are in the file.
_QUOTED = 5


class Reading:
    """The records of a data set. Iterating reads the files; each time anew.

    Memory does not grow with the files, but for the marks of keys (`SeenKeys`) where rows bring
    keys of their own.

    Args:
        source: What the files look like.
        files: The files, in their order.
        images: Where images are.
        strict: Whether the first bad row stops the reading.
        max_bad_share: The largest share of bad rows that is put up with at the end.
        bad_rows: File that all bad rows are listed in, as JSON lines; ``None`` for none.
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
        self._tally = Tally()

    @property
    def report(self) -> Report:
        """What the last pass came to so far."""
        return self._tally.report()

    def __iter__(self) -> Iterator[Record]:
        """Go through the records.

        Raises:
            InputError: A file as a whole is not what it should be; a bad row, where that is
                ``strict``; or, at the end, more bad rows than ``max_bad_share`` (code
                ``data_bad_rows``).
            ConfigError: A package or a folder for images is missing.
        """
        self._tally = tally = Tally()
        seen = SeenKeys()
        with tempfile.TemporaryFile("w+", encoding="utf-8") as listing:
            try:
                for file in self.files:
                    for row in self.source.rows(file):
                        tally.rows += row.span
                        for record in self._records(row, seen, tally, listing):
                            tally.count(record)
                            yield record
                tally.finished = True
            finally:
                if self.bad_rows is not None:
                    listing.seek(0)
                    write_lines(self.bad_rows, listing)
        self._check_share(tally.report())

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
            if self.strict:
                raise InputError(bad.message, code=bad.code, item=bad.place) from error
            return ()
        return found

    def _check_share(self, report: Report) -> None:
        if report.num_bad <= self.max_bad_share * report.rows:
            return
        quoted = "; ".join(f"{bad.place}: {bad.message}" for bad in report.bad_rows[:_QUOTED])
        raise InputError(
            f"{report.num_bad} of {report.rows} rows cannot be used, more than the share of "
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
        max_bad_share: The largest share of bad rows; more of them raise when the end is reached.
        bad_rows: File that all bad rows are listed in, as JSON lines.

    Returns:
        The records, to be iterated over; its ``report`` says what was left out.

    Raises:
        ConfigError: No such source (code ``name_unknown``), columns for a set that has its own
            (``data_columns``), or a negative share (``data_value``).
        InputError: There is no such file (code ``data_file``).
    """
    chosen = _source(source, columns) if isinstance(source, str) else source
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


def _source(name: str, columns: Columns | None) -> Source:
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
