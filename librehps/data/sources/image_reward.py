"""ImageRewardDB: images of a prompt with ranks and marks, in JSON or parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from librehps.data.fields import bad_field, number, text
from librehps.data.records import Ranking, Rating
from librehps.data.sources.images import ImageFiles
from librehps.data.sources.json_rows import json_rows
from librehps.data.sources.parquet_rows import parquet_rows
from librehps.data.sources.protocol import SOURCES, Row
from librehps.errors import InputError

__all__ = ["ImageRewardRatings", "ImageRewardSource"]

#: Images of one prompt; the set has four to nine.
MAX_GROUP = 64
_SUFFIXES = (".json", ".parquet")
_RATINGS = {
    "overall": "overall_rating",
    "alignment": "image_text_alignment_rating",
    "coherence": "fidelity_rating",
}


@SOURCES.register("imagereward")
class ImageRewardSource:
    """Rankings of ImageRewardDB (Xu et al., "ImageReward", 2023).

    Two layouts are published. In the data set a row is one image, and the rows of a prompt stand
    side by side: ``<split>_<k>.json`` beside the images, and ``metadata-<split>.parquet``. They
    become one ranking; a prompt of which a row is bad or missing, by ``image_amount_in_total``, is
    bad as a whole. In the repository a row is a prompt with ``generations`` and ``ranking``.
    """

    suffixes = _SUFFIXES
    ties = "equal ranks are a tie of 0.5"

    def rows(self, file: Path) -> Iterator[Row]:
        """Go through a file, the rows of a prompt together; see `Source`."""
        group: list[Row] = []
        for row in _rows(file):
            prompt = row.fields.get("prompt_id")
            alone = row.fault is not None or not isinstance(prompt, str)
            if group and (alone or prompt != group[0].fields["prompt_id"]):
                yield _together(group)
                group = []
            if alone:
                yield row
                continue
            group.append(row)
            if len(group) > MAX_GROUP:
                raise InputError(
                    f"{prompt!r:.100} has more than {MAX_GROUP} images",
                    code="data_too_long",
                    item=str(file),
                )
        if group:
            yield _together(group)

    def records(self, row: Row, images: ImageFiles) -> tuple[Ranking]:
        """Turn the rows of a prompt into a ranking; see `Source`."""
        fields = row.fields
        several = cast("list[Mapping[str, Any]] | None", fields.get("rows"))
        if several is None:
            return (_whole_row(row, images),)
        prompts = {text(one, "prompt") for one in several}
        announced = {one.get("image_amount_in_total", len(several)) for one in several}
        if len(prompts) > 1 or announced != {len(several)}:
            raise bad_field(
                f"{len(several)} rows stand together, of {len(prompts)} prompts, and "
                f"image_amount_in_total is {', '.join(map(repr, announced)):.100}"
            )
        return (
            Ranking(
                prompt=prompts.pop(),
                images=tuple(images.image(one, "image_path") for one in several),
                ranks=tuple(number("rank", one.get("rank")) for one in several),
                key=row.name,
            ),
        )


@SOURCES.register("imagereward-ratings")
class ImageRewardRatings:
    """Marks of ImageRewardDB, from 1 to 7: of an image overall, its alignment and its fidelity.

    Fidelity (is what is shown true to itself: bodies, shapes) is called coherence here.
    """

    suffixes = _SUFFIXES
    ties = "marks have no ties"

    def rows(self, file: Path) -> Iterator[Row]:
        """Go through a file; see `Source`."""
        return _rows(file)

    def records(self, row: Row, images: ImageFiles) -> tuple[Rating, ...]:
        """Turn a row into three ratings; see `Source`."""
        prompt = text(row.fields, "prompt")
        image = images.image(row.fields, "image_path")
        return tuple(
            Rating(
                prompt=prompt,
                image=image,
                value=number(column, row.fields.get(column)),
                axis=axis,
                key=f"{row.name}/{axis}",
            )
            for axis, column in _RATINGS.items()
        )


def _rows(file: Path) -> Iterator[Row]:
    if file.suffix.lower() != ".parquet":
        return json_rows(file)
    others = ("rank", "image_amount_in_total", *_RATINGS.values())
    return parquet_rows(file, needed=("image_path", "prompt_id", "prompt"), optional=others)


def _together(group: list[Row]) -> Row:
    first = group[0]
    return Row(
        first.file,
        first.index,
        first.line,
        fields={"rows": [row.fields for row in group]},
        key=str(first.fields["prompt_id"]),
        span=len(group),
    )


def _whole_row(row: Row, images: ImageFiles) -> Ranking:
    shown, ranks = (_list(row.fields, name) for name in ("generations", "ranking"))
    return Ranking(
        prompt=text(row.fields, "prompt"),
        images=tuple(
            images.image({f"generations[{place}]": one}, f"generations[{place}]")
            for place, one in enumerate(shown)
        ),
        ranks=tuple(number("ranking", rank) for rank in ranks),
        key=row.fields["id"] if isinstance(row.fields.get("id"), str) else row.name,
    )


def _list(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if not isinstance(value, list):
        raise bad_field(f"{name} is {value!r:.100}, not a list")
    return cast("list[Any]", value)
