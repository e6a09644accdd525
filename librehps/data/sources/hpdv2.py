"""HPDv2: ``train.json`` with pairs, and ``test.json`` with rankings of nine or ten images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from librehps.data.fields import bad_field, number, text
from librehps.data.records import Comparison, Ranking
from librehps.data.sources.images import ImageFiles
from librehps.data.sources.json_rows import json_rows
from librehps.data.sources.protocol import SOURCES, Row

__all__ = ["HPDv2Source"]


@SOURCES.register("hpdv2")
class HPDv2Source:
    """HPDv2 (Wu et al., "Human Preference Score v2", 2023).

    A row of the train file has two images in ``file_path`` and a 1 in ``human_preference`` for the
    one that was chosen. A row of the test file has the images in ``image_path`` and the averaged
    ``rank`` of each, 1 the best; the single annotators in ``raw_annotations`` are not read. The
    train file's paths start at ``train/``, the test file's at ``test/``: give that as root.
    """

    suffixes = (".json", ".jsonl")
    ties = "pairs have none; equal ranks are a tie of 0.5"

    def rows(self, file: Path) -> Iterator[Row]:
        """Go through a file; see `Source`."""
        return json_rows(file)

    def records(self, row: Row, images: ImageFiles) -> tuple[Comparison | Ranking]:
        """Turn a row into a comparison or a ranking; see `Source`."""
        fields = row.fields
        prompt = text(fields, "prompt")
        if "human_preference" not in fields:
            shown = _images(fields, "image_path", images)
            return (
                Ranking(
                    prompt=prompt,
                    images=shown,
                    ranks=tuple(number("rank", rank) for rank in _list(fields, "rank")),
                    key=row.name,
                ),
            )
        shown = _images(fields, "file_path", images)
        chosen = _list(fields, "human_preference")
        if len(shown) != 2 or chosen not in ([1, 0], [0, 1]):
            raise bad_field(
                f"human_preference is {chosen!r:.100} for {len(shown)} images; a pair has a 1 for "
                "the image that was chosen and a 0 for the other"
            )
        return (
            Comparison(
                prompt=prompt,
                image_a=shown[0],
                image_b=shown[1],
                target=float(chosen[0]),
                votes=1,
                key=row.name,
            ),
        )


def _images(fields: Mapping[str, Any], name: str, images: ImageFiles) -> tuple[Path, ...]:
    return tuple(
        images.image({f"{name}[{place}]": one}, f"{name}[{place}]")
        for place, one in enumerate(_list(fields, name))
    )


def _list(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if not isinstance(value, list):
        raise bad_field(f"{name} is {value!r:.100}, not a list")
    return cast("list[Any]", value)
