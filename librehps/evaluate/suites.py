"""Benchmarks by name: from a folder or a file to a list of comparisons with a tie rule."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from librehps.data.hpdv3 import BadRow, read_hpdv3
from librehps.data.records import Comparison
from librehps.errors import ConfigError, InputError
from librehps.evaluate.split import CALIBRATION_SHARE, in_calibration_part, turned_round
from librehps.registry import Registry

__all__ = ["SUITES", "Case", "Suite", "SuiteData", "spread_evenly"]


@dataclass(frozen=True)
class Case:
    """A comparison of a benchmark, the way round in which it is judged.

    Args:
        global_index: Place of its row in the file, from 0, also where other rows are bad.
        comparison: What people said.
        for_fitting: Whether it is in the part that calibrators and thresholds are fitted on.
    """

    global_index: int
    comparison: Comparison
    for_fitting: bool


@dataclass(frozen=True)
class SuiteData:
    """What a benchmark holds.

    Args:
        name: What it is called in a report.
        cases: Its comparisons, in the order of the file.
        images: Folder that paths of images are shown relative to.
        sha256: Of the file, as 64 hexadecimal digits.
        num_rows: Rows in the file.
        bad_rows: Those that could not be read.
    """

    name: str
    cases: tuple[Case, ...]
    images: Path
    sha256: str
    num_rows: int
    bad_rows: tuple[BadRow, ...]


@runtime_checkable
class Suite(Protocol):
    """A benchmark. To add one, register an object with these in ``SUITES``."""

    @property
    def tie_rule(self) -> str:
        """The rule of its published numbers: a name in ``TIE_RULES``."""
        ...

    @property
    def description(self) -> str:
        """What it is, in a line."""
        ...

    def read(self, data: Path) -> SuiteData:
        """Read it.

        Args:
            data: The folder or the file that the user has named.

        Raises:
            InputError: What is there cannot be read.
        """
        ...


SUITES: Registry[Suite] = Registry("suite")


@dataclass(frozen=True)
class HPDv3Layout:
    """Comparisons in HPDv3's JSON layout, with images beside them.

    Args:
        description: What it is, in a line.
        file: Name of the file in the folder that the user names; ``None`` if that is the file.
        name: What it is called in a report; ``None`` for the folder and the name of the file.
        tie_rule: A name in ``TIE_RULES``.
        share: Share of the rows that is for fitting.
    """

    description: str
    file: str | None = None
    name: str | None = None
    tie_rule: str = "strict"
    share: float = CALIBRATION_SHARE

    def read(self, data: Path) -> SuiteData:
        """Read the file; see :class:`Suite`.

        Raises:
            InputError: See :func:`~librehps.data.hpdv3.read_hpdv3`.
            ConfigError: A folder where a file is wanted, or the other way round (code
                ``suite_data``).
        """
        path = data if self.file is None else data / self.file
        if data.is_dir() == (self.file is None):
            wanted = "a file" if self.file is None else f"the folder that holds {self.file}"
            raise ConfigError(
                f"this suite takes {wanted}: name it with --data",
                code="suite_data",
                item=str(data),
            )
        found = read_hpdv3(path)
        bad = {row.index for row in found.bad}
        places = [place for place in range(found.rows) if place not in bad]
        cases = tuple(
            Case(
                global_index=place,
                comparison=comparison.swapped() if turned_round(place) else comparison,
                for_fitting=in_calibration_part(place, share=self.share),
            )
            for place, comparison in zip(places, found.comparisons, strict=True)
        )
        if not cases:
            raise InputError("holds no comparison", code="data_file", item=str(path))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        name = self.name or f"{path.resolve().parent.name}/{path.stem}"
        return SuiteData(name, cases, path.parent, digest, found.rows, found.bad)


SUITES.register("hpdv3")(
    HPDv3Layout(
        description="test.json of HPDv3; calibrators are fitted on 10 % and judged on the rest",
        file="test.json",
        name="hpdv3",
    )
)
SUITES.register("hpdv3-test")(
    HPDv3Layout(
        description="the whole test.json of HPDv3, as HPSv3 reports it; nothing is fitted",
        file="test.json",
        name="hpdv3-test",
        share=0.0,
    )
)
SUITES.register("hpdv3-layout")(
    HPDv3Layout(
        description="any file in HPDv3's layout, such as one that librehps synth wrote; split as "
        "hpdv3 is",
    )
)


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
