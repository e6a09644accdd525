from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

from librehps.data.records import Comparison
from librehps.data.sources.reading import read

Picture = Callable[..., bytes]


def row(picture: Picture, **change: Any) -> dict[str, Any]:
    """A row of ``image_generation``; the library writes images as bytes with a name."""
    return {
        "prompt": "a cat",
        "left_image": {"bytes": picture(1), "path": "left.png"},
        "right_image": {"bytes": picture(2), "path": "right.png"},
        "left_model": "x",
        "right_model": "y",
        "vote_type": "leftvote",
    } | change


def save(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "train_v1-00000-of-00001.parquet"
    parquet.write_table(arrow.Table.from_pylist(list(rows)), path)
    return path


def test_a_vote_is_a_comparison(tmp_path: Path, picture: Picture) -> None:
    votes = ("leftvote", "rightvote", "tievote", "bothbad_vote")
    path = save(tmp_path, *(row(picture, vote_type=vote) for vote in votes))
    found = [
        one
        for one in read("genai-bench", path, image_cache=tmp_path / "cache")
        if isinstance(one, Comparison)
    ]
    assert [one.target for one in found] == [1.0, 0.0, 0.5, 0.5]
    assert found[0].image_a.read_bytes() == picture(1)
    assert (found[0].model_a, found[0].model_b, found[0].prompt) == ("x", "y", "a cat")


def test_videos_are_paths(tmp_path: Path) -> None:
    fields = {"prompt": "p", "left_video": "v/l.mp4", "right_video": "v/r.mp4"}
    (record,) = read("genai-bench", save(tmp_path, fields | {"vote_type": "rightvote"}))
    assert isinstance(record, Comparison)
    assert (record.image_a, record.image_b) == (tmp_path / "v/l.mp4", tmp_path / "v/r.mp4")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"vote_type": "a"}, "data_row"),
        ({"vote_type": None}, "data_row"),
        ({"right_image": None}, "data_row"),
        ({"prompt": None}, "data_row"),
    ],
)
def test_what_makes_no_sense_is_a_bad_row(
    tmp_path: Path, picture: Picture, change: dict[str, Any], code: str
) -> None:
    path = save(tmp_path, row(picture), row(picture, **change))
    reading = read("genai-bench", path, image_cache=tmp_path / "cache", max_bad_share=0.5)
    assert len(list(reading)) == 1
    assert reading.report.bad == {code: 1}


def test_edited_images_are_told_apart(tmp_path: Path) -> None:
    fields = {"prompt": "p", "left_output_image": "l.png", "vote_type": "leftvote"}
    reading = read("genai-bench", save(tmp_path, fields), max_bad_share=1.0)
    assert list(reading) == []
    assert reading.report.bad == {"data_columns": 1}
