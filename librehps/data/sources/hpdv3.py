"""HPDv3: ``train.json``, ``test.json`` and ``all.json``, and other files of that layout.

The rows are those of `librehps.data.hpdv3`; this source goes through them one at a time where
`read_hpdv3` takes the whole file into memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from librehps.data.hpdv3 import comparison_from_row
from librehps.data.records import Comparison
from librehps.data.sources.images import ImageFiles
from librehps.data.sources.json_rows import json_rows
from librehps.data.sources.protocol import SOURCES, Dropped, Row
from librehps.errors import ConfigError

__all__ = ["HPDv3Source"]


@SOURCES.register("hpdv3")
class HPDv3Source:
    """HPDv3 (Ma et al., "HPSv3: Towards Wide-Spectrum Human Preference Score", 2025).

    Args:
        min_confidence: Rows that are less sure are dropped as ``"below_confidence"``; rows of
            unknown confidence stay.

    Raises:
        ConfigError: A threshold that is negative or NaN (code ``data_value``).
    """

    suffixes = (".json", ".jsonl")
    ties = (
        "the target is the share of votes for path1, and 1 where there are no votes; equal "
        "votes are a tie of 0.5"
    )

    def __init__(self, min_confidence: float | None = None) -> None:
        if min_confidence is not None and not min_confidence >= 0:
            raise ConfigError(
                f"min_confidence is {min_confidence}; it must be at least 0", code="data_value"
            )
        self.min_confidence = min_confidence

    def rows(self, file: Path) -> Iterator[Row]:
        """Go through a file; see `Source`."""
        return json_rows(file)

    def records(self, row: Row, images: ImageFiles) -> tuple[Comparison] | Dropped:
        """Turn a row into a comparison; see `Source`."""
        comparison = comparison_from_row(row.fields, images.image, key=row.name)
        sure = comparison.confidence
        if self.min_confidence is not None and sure is not None and sure < self.min_confidence:
            return Dropped("below_confidence")
        return (comparison,)
