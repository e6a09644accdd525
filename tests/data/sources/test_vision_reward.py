from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

from librehps.data.records import Comparison, Rating
from librehps.data.sources.reading import read

Picture = Callable[..., bytes]
# All of the published image set, in its order, each within its published range.
MARKS = {
    "symmetry": 1,
    "richness": 2,
    "color aesthetic": -1,
    "detail realism": -3,
    "safety": 1,
    "body": -4,
    "lighting aesthetic": 2,
    "lighting distinction": 0,
    "background": -1,
    "emotion": -2,
    "main object": 1,
    "color brightness": 0,
    "face": -3,
    "hands": 1,
    "clarity": 2,
    "detail refinement": -4,
    "unsafe type": 2,
    "object pairing": -1,
}
COUNT = len(MARKS) - 1


def row(picture: Picture, **change: Any) -> dict[str, Any]:
    """A row of VisionRewardDB-Image, with all of its eighteen dimensions."""
    return {
        "image": {"bytes": picture(5), "path": None},
        "internal_id": "i1",
        "prompt": "a cat",
        "url": "https://dead.example/1.png",
        "annotation": MARKS,
        "meta_result": [1, 0],
        "meta_mask": [1, 1],
    } | change


def save(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "train-00000-of-00010.parquet"
    parquet.write_table(arrow.Table.from_pylist(list(rows)), path)
    return path


def test_marks_are_ratings_of_one_image(tmp_path: Path, picture: Picture) -> None:
    path = save(tmp_path, row(picture))
    reading = read("visionreward", path, image_cache=tmp_path / "cache")
    found = [one for one in reading if isinstance(one, Rating)]
    # The kind of harm is no mark.
    marks = {name: float(mark) for name, mark in MARKS.items() if name != "unsafe type"}
    assert {one.axis: one.value for one in found} == marks
    assert {one.image.read_bytes() for one in found} == {picture(5)}
    assert found[0].key == f"{path.name}#0/symmetry"
    assert (reading.report.rows, reading.report.records) == (1, {"rating": COUNT})


def test_bytes_without_a_name_are_an_image_too(tmp_path: Path, picture: Picture) -> None:
    path = save(tmp_path, row(picture, image=picture(5)))
    assert len(list(read("visionreward", path, image_cache=tmp_path / "cache"))) == COUNT


def test_marks_of_videos_have_paths(tmp_path: Path) -> None:
    fields = {"video_path": "videos/1.mp4", "internal_id": "i", "prompt": "p"}
    (one,) = read("visionreward", save(tmp_path, fields | {"annotation": {"focus": 3}}))
    assert isinstance(one, Rating)
    assert (one.image, one.axis, one.value) == (tmp_path / "videos/1.mp4", "focus", 3.0)


@pytest.mark.parametrize(("answer", "target"), [("A", 1.0), ("B", 0.0), ("tie", 0.5)])
def test_a_pair_of_videos_is_a_comparison(tmp_path: Path, answer: str, target: float) -> None:
    fields = {"prompt": "p", "video1_path": "1.mp4", "video2_path": "2.mp4"}
    (one,) = read("visionreward", save(tmp_path, fields | {"standard_answer": answer}))
    assert isinstance(one, Comparison)
    assert (one.image_a, one.target) == (tmp_path / "1.mp4", target)


def test_a_row_without_marks_is_dropped(tmp_path: Path, picture: Picture) -> None:
    path = save(tmp_path, row(picture, annotation=dict.fromkeys(MARKS, None) | {"unsafe type": 1}))
    reading = read("visionreward", path, image_cache=tmp_path / "cache")
    assert list(reading) == []
    assert reading.report.dropped == {"unlabelled": 1}


def test_what_makes_no_sense_is_a_bad_row(tmp_path: Path, picture: Picture) -> None:
    path = save(tmp_path, row(picture, annotation=None), row(picture, image=None), row(picture))
    reading = read("visionreward", path, image_cache=tmp_path / "cache", max_bad_share=1.0)
    assert len(list(reading)) == COUNT
    assert reading.report.bad == {"data_row": 2}
    fields = {"prompt": "p", "video1_path": "1.mp4", "video2_path": "2.mp4"}
    answers = read(
        "visionreward", save(tmp_path, fields | {"standard_answer": "C"}), max_bad_share=1.0
    )
    assert list(answers) == []
    assert "the answers are A, B" in answers.report.bad_rows[0].message
