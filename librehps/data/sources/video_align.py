"""VideoGen-RewardBench and VideoAlign's training file: CSV with a label on each of three axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from librehps.data.fields import bad_field, optional_text, text
from librehps.data.records import Comparison
from librehps.data.sources.csv_rows import csv_rows
from librehps.data.sources.images import ImageFiles
from librehps.data.sources.protocol import SOURCES, Dropped, Row

__all__ = ["VideoAlignSource", "VideoGenRewardBench"]

_LABELS = {"A": 1.0, "B": 0.0, "same": 0.5}
#: Visual quality, motion quality and text alignment, by what they are here.
_AXES = {"alignment": "TA", "style": "VQ", "temporal": "MQ"}


class _Labels:
    """What both files have in common."""

    suffixes = (".csv",)
    overall: str | None = None

    def rows(self, file: Path) -> Iterator[Row]:
        """Go through a file; see `Source`."""
        own = () if self.overall is None else (self.overall,)
        return csv_rows(file, needed=("path_A", "path_B", "prompt", "VQ", "MQ", "TA", *own))

    def records(self, row: Row, images: ImageFiles) -> tuple[Comparison] | Dropped:
        """Turn a row into a comparison; see `Source`."""
        fields = row.fields
        asked = {axis: _label(fields, column) for axis, column in _AXES.items()}
        targets = {axis: share for axis, share in asked.items() if share is not None}
        if self.overall is not None:
            target = _label(fields, self.overall)
        else:
            target = sum(targets.values()) / len(targets) if targets else None
        if target is None:
            return Dropped("unlabelled")
        return (
            Comparison(
                prompt=text(fields, "prompt"),
                image_a=images.image(fields, "path_A"),
                image_b=images.image(fields, "path_B"),
                target=target,
                axis_targets=targets,
                key=row.name,
                model_a=optional_text(fields, "A_model"),
                model_b=optional_text(fields, "B_model"),
            ),
        )


@SOURCES.register("videogen-rewardbench")
class VideoGenRewardBench(_Labels):
    """VideoGen-RewardBench (Liu et al., "Improving Video Generation with Human Feedback", 2025).

    The target is the label in ``Overall``; a row without one is dropped. ``VQ``, ``MQ`` and ``TA``
    become the targets on style, temporal and alignment where they have a label.
    """

    ties = "the label same is a tie and stays 0.5, overall and on every axis"
    overall = "Overall"


@SOURCES.register("videoalign")
class VideoAlignSource(_Labels):
    """VideoAlign's training file (the same paper), which asks for no preference overall.

    A record has to have one; here it is the mean of the axes that have a label, so that it is 1
    only where a is better on all of them. Train with the targets on the axes. Rows without
    any label are dropped. Mean opinion scores (``MOS_A_VQ`` and the like) are not read.
    """

    ties = (
        "the label same is a tie and stays 0.5 on its axis; overall is the mean of the axes, since "
        "nobody was asked"
    )


def _label(fields: Mapping[str, Any], name: str) -> float | None:
    """Return the share for ``a``, None where the annotators' label was withdrawn or is missing."""
    word = fields.get(name)
    if word is None or word == "invalid":
        return None
    if word not in _LABELS:
        # Elsewhere an unknown word is read as withdrawn, and a misspelt column goes unnoticed.
        raise bad_field(f"{name} is {word!r:.100}; the labels are A, B, same and invalid")
    return _LABELS[word]
