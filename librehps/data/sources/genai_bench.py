"""GenAI-Bench of TIGER-Lab: parquet files with votes for the left or the right of two outputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from librehps.data.fields import bad_field, optional_text, text
from librehps.data.records import Comparison
from librehps.data.sources.images import ImageFiles
from librehps.data.sources.parquet_rows import parquet_rows
from librehps.data.sources.protocol import SOURCES, Row
from librehps.errors import InputError

__all__ = ["GenAIBenchSource"]

_VOTES = {"leftvote": 1.0, "rightvote": 0.0, "tievote": 0.5, "bothbad_vote": 0.5}


@SOURCES.register("genai-bench")
class GenAIBenchSource:
    """GenAI-Bench (Jiang et al., "GenAI Arena: An Open Evaluation Platform", 2024).

    Its configurations ``image_generation`` (``left_image``, ``right_image``) and
    ``video_generation`` (``left_video``, ``right_video``); ``image_edition`` has another picture
    to go out from, which no record has a place for. It is not the GenAI-Bench of CMU, which has
    marks and no votes.
    """

    suffixes = (".parquet",)
    ties = "tievote and bothbad_vote prefer neither: both are a tie of 0.5"

    def rows(self, file: Path) -> Iterator[Row]:
        """Go through a file; see `Source`."""
        sides = ("left_image", "right_image", "left_video", "right_video")
        return parquet_rows(
            file,
            needed=("prompt", "vote_type"),
            optional=(*sides, "left_model", "right_model"),
        )

    def records(self, row: Row, images: ImageFiles) -> tuple[Comparison]:
        """Turn a row into a comparison; see `Source`."""
        fields = row.fields
        vote = fields.get("vote_type")
        if vote not in _VOTES:
            raise bad_field(f"vote_type is {vote!r:.100}; the votes are {', '.join(_VOTES)}")
        shown = "image" if "left_image" in fields else "video"
        if f"left_{shown}" not in fields:
            raise InputError(
                "has no left_image and no left_video; of GenAI-Bench, image_generation and "
                "video_generation are read",
                code="data_columns",
            )
        return (
            Comparison(
                prompt=text(fields, "prompt"),
                image_a=images.image(fields, f"left_{shown}"),
                image_b=images.image(fields, f"right_{shown}"),
                target=_VOTES[vote],
                votes=1,
                key=row.name,
                model_a=optional_text(fields, "left_model"),
                model_b=optional_text(fields, "right_model"),
            ),
        )
