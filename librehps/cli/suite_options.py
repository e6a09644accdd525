"""From words such as ``prompt=caption`` to what is asked of the benchmarks of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from librehps.data.sources import Columns
    from librehps.evaluate.run import SuiteRequest

__all__ = ["ColumnWords", "suite_requests"]


@dataclass(frozen=True, kw_only=True)
class ColumnWords:
    """What a command line says of the columns of a table.

    Args:
        record: What a row becomes; ``None`` where that is not said.
        names: ``FIELD=COLUMN``.
        axes: ``AXIS=COLUMN``.
        labels: ``WORD=SHARE``.
    """

    record: str | None = None
    names: Sequence[str] = field(default_factory=tuple[str, ...])
    axes: Sequence[str] = field(default_factory=tuple[str, ...])
    labels: Sequence[str] = field(default_factory=tuple[str, ...])

    def columns(self) -> Columns | None:
        """Return the mapping; ``None`` where nothing is said.

        Raises:
            BadParameter: A word that is not of that form, or a name twice.
            ConfigError: See `librehps.data.sources.Columns`.
        """
        from librehps.data.sources import Columns

        if self.record is None and not (self.names or self.axes or self.labels):
            return None
        columns = Columns(
            record="comparison" if self.record is None else self.record,
            names=_mapping("--column", self.names),
            axes=_mapping("--axis-column", self.axes),
        )
        if not self.labels:
            return columns
        labels = _mapping("--label", self.labels)
        return replace(columns, labels={word: _share(value) for word, value in labels.items()})


def suite_requests(
    suites: Sequence[str],
    data: Sequence[Path],
    *,
    roots: Sequence[Path],
    words: ColumnWords,
    fit_share: float | None,
) -> list[SuiteRequest]:
    """Return what shall be run.

    Args:
        suites: Names of benchmarks.
        data: Where each lies.
        roots: Where the paths of its images start: none, one for all, or one for each.
        words: Columns, of those that are tables.
        fit_share: Share of the records that is kept for fitting; each benchmark's own if ``None``.

    Raises:
        BadParameter: Lists that do not fit together, or words that are no mapping.
        ConfigError: No such benchmark (code ``name_unknown``), columns where there is no table
            (``data_columns``), or one of videos (``suite_video``).
    """
    from librehps.errors import ConfigError
    from librehps.evaluate.run import SuiteRequest
    from librehps.evaluate.suites import TABLES, SuiteOptions

    if len(suites) != len(data):
        raise typer.BadParameter(
            f"there are {len(suites)} --suite and {len(data)} --data; give one for each"
        )
    if len(roots) not in (0, 1, len(suites)):
        raise typer.BadParameter(
            f"there are {len(suites)} --suite and {len(roots)} --root; give one for all, or one "
            "for each"
        )
    columns = words.columns()
    if columns is not None and not set(suites) & set(TABLES):
        raise ConfigError(
            f"{' and '.join(suites)} have columns of their own; they can be named for "
            f"{', '.join(TABLES)}",
            code="data_columns",
        )
    found: list[SuiteRequest] = []
    for place, (name, where) in enumerate(zip(suites, data, strict=True)):
        options = SuiteOptions(
            columns=columns if name in TABLES else None,
            root=roots[min(place, len(roots) - 1)] if roots else None,
            share=fit_share,
        )
        found.append(SuiteRequest(name, where, options))
        # Refuses what makes no sense before a model is loaded.
        found[-1].make()
    return found


def _mapping(option: str, words: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        # What stands before a share may be any word; a column may have any name.
        name, equals, value = word.rpartition("=") if option == "--label" else word.partition("=")
        if not (name and equals and value):
            raise typer.BadParameter(f"{option} {word!r}: write NAME=VALUE")
        if name in found:
            raise typer.BadParameter(f"{option} names {name!r} twice")
        found[name] = value
    return found


def _share(value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise typer.BadParameter(
            f"--label: {value!r} is no share; write a number from 0 to 1"
        ) from error
