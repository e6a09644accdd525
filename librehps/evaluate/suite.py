"""What a benchmark is: from a folder or a file to records, a part for fitting and a tie rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from librehps.data.sources import BadRow, Columns, Record
from librehps.errors import ConfigError
from librehps.evaluate.pictures import FilePictures, Pictures
from librehps.registry import Registry

__all__ = [
    "SUITES",
    "Case",
    "Suite",
    "SuiteData",
    "SuiteMaker",
    "SuiteOptions",
    "spread_evenly",
    "video_refused",
]


@dataclass(frozen=True)
class Case:
    """A record of a benchmark.

    Args:
        global_index: Place of its row in the file, from 0, also where other rows are bad.
        record: What people said; a comparison is already the way round in which it is judged.
        for_fitting: Whether it is in the part that calibrators and thresholds are fitted on.
    """

    global_index: int
    record: Record
    for_fitting: bool


@dataclass(frozen=True)
class SuiteData:
    """What a benchmark holds.

    Args:
        name: What it is called in a report.
        cases: Its records, in the order of the file.
        images: Folder that paths of images are shown relative to.
        sha256: Of the file, as 64 hexadecimal digits; of several, that of a list with a line
            ``<SHA-256>  <name>`` for each.
        num_rows: Rows in the file.
        num_bad_rows: Those that could not be read.
        dropped: Sound rows that say nothing of a preference, by reason.
        pictures: Finds the images that the records name.
    """

    name: str
    cases: tuple[Case, ...]
    images: Path
    sha256: str
    num_rows: int
    num_bad_rows: int
    dropped: Mapping[str, int] = field(default_factory=dict[str, int])
    pictures: Pictures = field(default_factory=FilePictures)


@runtime_checkable
class Suite(Protocol):
    """A benchmark. Hand one over as it is, or register what makes it in ``SUITES``."""

    @property
    def tie_rule(self) -> str:
        """The rule of its published numbers: a name in ``TIE_RULES``."""
        ...

    @property
    def description(self) -> str:
        """What it is, in a line."""
        ...

    @property
    def video(self) -> bool:
        """Whether it is known to be of videos before it is read."""
        ...

    def read(
        self,
        data: Path,
        *,
        max_bad_share: float = 0.01,
        on_bad: Callable[[BadRow], None] = lambda bad: None,
    ) -> SuiteData:
        """Read it.

        Args:
            data: The folder or the file that the user has named.
            max_bad_share: The largest share of rows that cannot be read that is put up with.
            on_bad: Called with each row that cannot be read, also where it is one too many.

        Raises:
            InputError: What is there cannot be read, or too much of it (code ``data_bad_rows``).
            ConfigError: It is a folder where a file is wanted, or the other way round (code
                ``suite_data``); or it is of videos (``suite_video``).
        """
        ...


@dataclass(frozen=True, kw_only=True)
class SuiteOptions:
    """What a user may say of a benchmark beside its name and where it lies.

    Args:
        columns: Which column is what, for tables of the user's own.
        root: Folder that the paths of images start from; that of the files if ``None``.
        share: Share of the records that is kept for fitting, in [0, 1]; the benchmark's own if
            ``None``.
    """

    columns: Columns | None = None
    root: Path | None = None
    share: float | None = None


#: Makes a benchmark.
#:
#: Raises:
#:     ConfigError: An option that this benchmark does not have.
SuiteMaker: TypeAlias = Callable[[SuiteOptions], Suite]

#: What makes a benchmark by the name that a command line gives.
SUITES: Registry[SuiteMaker] = Registry("suite")


def spread_evenly(cases: Sequence[Case], limit: int | None) -> tuple[Case, ...]:
    """Return ``limit`` of the cases, spread evenly over the file; all where there are no more.

    Raises:
        ConfigError: A limit below 1 (code ``suite_limit``).
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"the limit is {limit}; at least 1", code="suite_limit")
    if limit is None or limit >= len(cases):
        return tuple(cases)
    return tuple(cases[place * len(cases) // limit] for place in range(limit))


def video_refused(name: str) -> ConfigError:
    """Return the error for a benchmark of videos (code ``suite_video``)."""
    return ConfigError(
        "holds videos, and this version scores pictures only: nothing of it was scored. Its "
        "records can be read with librehps.data.sources.read",
        code="suite_video",
        item=name,
    )
