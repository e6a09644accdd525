"""What a reader of a data set is: rows of a file on one side, records on the other.

A source knows one layout. `rows` goes through a file and says of each row what stands in it, or
why nobody can tell; `records` turns one row into what people said, or says why it is left out.
All else is the same for every set and is done by `librehps.data.sources.reading`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from librehps.data.records import Comparison, Ranking, Rating
from librehps.data.sources.images import ImageFiles
from librehps.errors import InputError
from librehps.registry import Registry

__all__ = ["SOURCES", "Dropped", "Record", "Row", "Source"]

Record = Comparison | Ranking | Rating


@dataclass(frozen=True)
class Row:
    """One row of a file.

    Args:
        file: Name of the file.
        index: Number of the row in the file, from 0.
        line: Line that it begins in, from 1; ``None`` where the format has no lines.
        fields: What stands in it; empty where it could not be read.
        fault: Why it could not be read.
        key: What identifies the row; its file and number if empty.
        span: How many rows of the file it stands for; more than one where rows belong together.
    """

    file: str
    index: int
    line: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    fault: InputError | None = None
    key: str = ""
    span: int = 1

    @property
    def name(self) -> str:
        """What identifies the row."""
        return self.key or f"{self.file}#{self.index}"


@dataclass(frozen=True)
class Dropped:
    """What `Source.records` returns for a sound row that no record is made of.

    Args:
        reason: Why, in a word or two that are the same for every such row, such as
            ``"unlabelled"``.
    """

    reason: str


@runtime_checkable
class Source(Protocol):
    """One layout of preference data.

    An implementation is made without arguments by `SOURCES`, or with settings of its own by whoever
    wants others than the published ones.
    """

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of its files, such as ``".parquet"``; a folder is read as all files with one."""
        ...

    @property
    def ties(self) -> str:
        """What becomes of a tie, in words to be printed beside every number."""
        ...

    def rows(self, file: Path) -> Iterator[Row]:
        """Go through a file in order, in memory that does not grow with it.

        Raises:
            InputError: The file as a whole is not what it should be. What is wrong with one row is
                in the row instead.
            ConfigError: A package that is needed is missing (code ``data_missing``).
        """
        ...

    def records(self, row: Row, images: ImageFiles) -> Sequence[Record] | Dropped:
        """Turn a row without a fault into records.

        Raises:
            InputError: Something in the row is wrong.
        """
        ...


#: Sources by the name that a command line or a configuration gives.
SOURCES: Registry[type[Source]] = Registry("data source")
