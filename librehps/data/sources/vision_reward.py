"""VisionRewardDB: marks on some twenty dimensions, and pairs of videos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from librehps.data.fields import bad_field, number, text
from librehps.data.records import Comparison, Rating
from librehps.data.sources.images import ImageFiles
from librehps.data.sources.parquet_rows import parquet_rows
from librehps.data.sources.protocol import SOURCES, Dropped, Row

__all__ = ["VisionRewardSource"]

# A kind of harm and no mark: the set's authors do not train on it either. An older revision of the
# set has the second name.
_NO_MARKS = ("unsafe type", "harm")
_ANSWERS = {"A": 1.0, "B": 0.0, "tie": 0.5, "same": 0.5}


@SOURCES.register("visionreward")
class VisionRewardSource:
    """VisionRewardDB-Image and -Video (Xu et al., "VisionReward", 2024).

    A row with an ``annotation`` becomes one rating for each dimension in it, under the dimension's
    own name and in its own range; ``unsafe type`` (``harm`` in an older revision) is a kind and no
    mark, and is left out. The questions behind the marks (``meta_result``, ``meta_mask``) are not
    read. A row with ``video1_path`` and ``video2_path`` becomes a comparison.
    """

    suffixes = (".parquet",)
    ties = "a standard_answer of tie or same stays 0.5; marks have no ties"

    def rows(self, file: Path) -> Iterator[Row]:
        """Go through a file; see `Source`."""
        marks = ("image", "video_path", "annotation")
        pairs = ("standard_answer", "video1_path", "video2_path")
        return parquet_rows(file, needed=("prompt",), optional=(*marks, *pairs))

    def records(
        self, row: Row, images: ImageFiles
    ) -> tuple[Comparison] | tuple[Rating, ...] | Dropped:
        """Turn a row into ratings or a comparison; see `Source`."""
        fields = row.fields
        if "video1_path" in fields:
            return (_comparison(row, images),)
        marks = fields.get("annotation")
        if not isinstance(marks, dict):
            raise bad_field(f"annotation is {marks!r:.100}, not a mark for each dimension")
        given = {
            name: number(name, mark)
            for name, mark in cast("dict[str, Any]", marks).items()
            if mark is not None and name not in _NO_MARKS
        }
        if not given:
            return Dropped("unlabelled")
        prompt = text(fields, "prompt")
        image = images.image(fields, _shown(fields))
        return tuple(
            Rating(prompt=prompt, image=image, value=mark, axis=name, key=f"{row.name}/{name}")
            for name, mark in given.items()
        )


def _shown(fields: Mapping[str, Any]) -> str:
    return "image" if "image" in fields else "video_path"


def _comparison(row: Row, images: ImageFiles) -> Comparison:
    answer = row.fields.get("standard_answer")
    if answer not in _ANSWERS:
        raise bad_field(
            f"standard_answer is {answer!r:.100}; the answers are {', '.join(_ANSWERS)}"
        )
    return Comparison(
        prompt=text(row.fields, "prompt"),
        image_a=images.image(row.fields, "video1_path"),
        image_b=images.image(row.fields, "video2_path"),
        target=_ANSWERS[answer],
        key=row.name,
    )
