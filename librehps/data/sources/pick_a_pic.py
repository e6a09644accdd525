"""Pick-a-Pic v1 and v2: parquet files with the bytes of both images in every row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from librehps.data.fields import bad_field, optional_number, optional_text, text
from librehps.data.records import Comparison
from librehps.data.sources.images import ImageFiles
from librehps.data.sources.parquet_rows import parquet_rows
from librehps.data.sources.protocol import SOURCES, Dropped, Row

__all__ = ["PickAPicSource"]


@SOURCES.register("pickapic")
class PickAPicSource:
    """Pick-a-Pic (Kirstain et al., "Pick-a-Pic: An Open Dataset of User Preferences", 2023).

    ``label_0`` and ``label_1`` are 1 and 0, 0 and 1, or 0.5 each. Rows without a label, and rows
    whose two images are the same one (``are_different`` is false), are dropped. The URLs are dead,
    and are not read. v2 has the columns of v1.
    """

    suffixes = (".parquet",)
    ties = "labels of 0.5 are a tie and stay 0.5"

    def rows(self, file: Path) -> Iterator[Row]:
        """Go through a file; see `Source`."""
        return parquet_rows(
            file,
            needed=("caption", "jpg_0", "jpg_1", "label_0", "label_1"),
            optional=("has_label", "are_different", "model_0", "model_1"),
        )

    def records(self, row: Row, images: ImageFiles) -> tuple[Comparison] | Dropped:
        """Turn a row into a comparison; see `Source`."""
        fields = row.fields
        if fields.get("has_label") is False:
            return Dropped("unlabelled")
        if fields.get("are_different") is False:
            return Dropped("same_image")
        labels = [optional_number(fields, name) for name in ("label_0", "label_1")]
        if labels not in ([1.0, 0.0], [0.0, 1.0], [0.5, 0.5]):
            raise bad_field(
                f"label_0 and label_1 are {labels[0]} and {labels[1]}; they are 1 and 0, 0 and 1, "
                "or 0.5 each"
            )
        return (
            Comparison(
                prompt=text(fields, "caption"),
                image_a=images.image(fields, "jpg_0"),
                image_b=images.image(fields, "jpg_1"),
                target=labels[0] or 0.0,
                votes=1,
                key=row.name,
                model_a=optional_text(fields, "model_0"),
                model_b=optional_text(fields, "model_1"),
            ),
        )
