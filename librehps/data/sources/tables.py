"""Tables of any layout: CSV, JSON, parquet and tar shards, with a mapping of columns."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from librehps.data.fields import bad_field, number, optional_text, text
from librehps.data.records import Comparison, Ranking, Rating
from librehps.data.sources.columns import FIELDS, Columns
from librehps.data.sources.csv_rows import csv_rows
from librehps.data.sources.images import ImageFiles
from librehps.data.sources.json_rows import json_rows
from librehps.data.sources.parquet_rows import parquet_rows
from librehps.data.sources.protocol import SOURCES, Record, Row
from librehps.data.sources.tar_rows import tar_rows
from librehps.errors import ConfigError

__all__ = ["CsvTable", "JsonTable", "ParquetTable", "TableSource", "WebDataset"]

# What `float` takes besides, such as "nan" and "1_000", is no number in a table.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MAX_VOTES = 10**9


class TableSource(ABC):
    """A table whose columns the caller names.

    Args:
        columns: Which column is what.
    """

    suffixes: tuple[str, ...] = ()
    ties = "a share of 0.5, equal votes, or a label that means 0.5 is a tie and stays 0.5"

    def __init__(self, columns: Columns | None = None) -> None:
        self.columns = Columns() if columns is None else columns

    @abstractmethod
    def rows(self, file: Path) -> Iterator[Row]:
        """Go through a file; see `Source`."""

    def records(self, row: Row, images: ImageFiles) -> tuple[Record]:
        """Turn a row into the record that the columns describe; see `Source`."""
        kind = self.columns.record
        named = {name: row.fields.get(self.columns.column(name)) for name in FIELDS[kind]}
        if type(named["key"]) is int:
            named["key"] = str(named["key"])
        key = optional_text(named, "key") or row.name
        if kind == "comparison":
            return (self._comparison(named, row, images, key),)
        return (_ranking(named, images, key) if kind == "ranking" else _rating(named, images, key),)

    def _comparison(
        self, named: Mapping[str, Any], row: Row, images: ImageFiles, key: str
    ) -> Comparison:
        target, votes = self._outcome(named)
        asked = {
            axis: (column, row.fields.get(column)) for axis, column in self.columns.axes.items()
        }
        return Comparison(
            prompt=text(named, "prompt"),
            image_a=images.image(named, "image_a"),
            image_b=images.image(named, "image_b"),
            target=target,
            axis_targets={
                axis: _number(column, value)
                for axis, (column, value) in asked.items()
                if value is not None
            },
            votes=votes,
            confidence=None
            if named["confidence"] is None
            else _number("confidence", named["confidence"]),
            key=key,
            model_a=optional_text(named, "model_a"),
            model_b=optional_text(named, "model_b"),
        )

    def _outcome(self, named: Mapping[str, Any]) -> tuple[float, int | None]:
        """Return the share of votes for ``a``, and how many there were where that is known."""
        said = [name for name in ("target", "preferred", "votes_a") if named[name] is not None]
        if len(said) != 1:
            raise bad_field(
                f"who is preferred must stand in one of target, preferred and votes_a with "
                f"votes_b, and stands in {' and '.join(said) or 'none'}"
            )
        votes = None if named["votes"] is None else _count("votes", named["votes"])
        if said == ["target"]:
            return _number("target", named["target"]), votes
        if said == ["preferred"]:
            word, labels = named["preferred"], self.columns.labels
            # A label is written as text; formats with types may hold the number.
            if type(word) is int:
                word = str(word)
            if not isinstance(word, str) or word not in labels:
                raise bad_field(f"preferred is {word!r:.100}; the labels are {', '.join(labels)}")
            return labels[word], votes
        for_a, for_b = (_count(name, named[name]) for name in ("votes_a", "votes_b"))
        if not for_a + for_b:
            raise bad_field("nobody voted: votes_a and votes_b are 0")
        return for_a / (for_a + for_b), for_a + for_b


@SOURCES.register("csv")
class CsvTable(TableSource):
    """Comma-separated values with a line of names."""

    suffixes = (".csv",)

    def rows(self, file: Path) -> Iterator[Row]:
        """Go through a file; see `Source`."""
        if self.columns.record == "ranking":
            raise ConfigError(
                "a field of CSV holds one value, and a ranking needs lists: use JSON lines",
                code="data_columns",
            )
        return csv_rows(file, needed=(self.columns.column("prompt"),))


@SOURCES.register("jsonl")
class JsonTable(TableSource):
    """Objects of JSON: one a line, or in one list."""

    suffixes = (".jsonl", ".json")

    def rows(self, file: Path) -> Iterator[Row]:
        """Go through a file; see `Source`."""
        return json_rows(file)


@SOURCES.register("parquet")
class ParquetTable(TableSource):
    """Parquet files, with images as paths, as bytes, or as the ``datasets`` library writes them."""

    suffixes = (".parquet",)

    def rows(self, file: Path) -> Iterator[Row]:
        """Go through a file; see `Source`."""
        columns = self.columns
        wanted = [columns.column(name) for name in FIELDS[columns.record]]
        return parquet_rows(
            file,
            needed=(columns.column("prompt"),),
            optional=(*wanted, *columns.axes.values()),
        )


@SOURCES.register("webdataset")
class WebDataset(TableSource):
    """Tar shards, where the files of a sample have one name up to the first dot."""

    suffixes = (".tar",)

    def rows(self, file: Path) -> Iterator[Row]:
        """Go through a file; see `Source`."""
        return tar_rows(file)


def _ranking(named: Mapping[str, Any], images: ImageFiles, key: str) -> Ranking:
    shown, ranks, models = (_list(named, name) for name in ("images", "ranks", "models"))
    return Ranking(
        prompt=text(named, "prompt"),
        images=tuple(
            images.image({f"images[{place}]": one}, f"images[{place}]")
            for place, one in enumerate(shown or ())
        ),
        ranks=tuple(number("ranks", rank) for rank in ranks or ()),
        key=key,
        models=None
        if models is None
        else tuple(text({"models": model}, "models") for model in models),
    )


def _rating(named: Mapping[str, Any], images: ImageFiles, key: str) -> Rating:
    return Rating(
        prompt=text(named, "prompt"),
        image=images.image(named, "image"),
        value=_number("value", named["value"]),
        axis=optional_text(named, "axis") or "overall",
        key=key,
        model=optional_text(named, "model"),
    )


def _list(named: Mapping[str, Any], name: str) -> list[Any] | None:
    value = named[name]
    if value is not None and not isinstance(value, list):
        raise bad_field(f"{name} is {value!r:.100}, not a list")
    return cast("list[Any] | None", value)


def _number(name: str, value: Any) -> float:
    """Return a number, which in CSV is a text."""
    if not isinstance(value, str):
        return number(name, value)
    if not _NUMBER.fullmatch(value):
        raise bad_field(f"{name} is {value!r:.100}, not a number")
    return float(value)


def _count(name: str, value: Any) -> int:
    found = _number(name, value)
    if not 0 <= found <= _MAX_VOTES or found != int(found):
        raise bad_field(f"{name} is {value!r:.100}, not a number of votes")
    return int(found)
