from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

from librehps.data.records import Comparison
from librehps.data.sources.reading import read
from librehps.errors import ConfigError

Picture = Callable[..., bytes]


def row(picture: Picture, **change: Any) -> dict[str, Any]:
    """A row with all columns of the published files."""
    return {
        "are_different": True,
        "best_image_uid": "u0",
        "caption": "a cat",
        "created_at": datetime(2023, 1, 1, tzinfo=UTC),
        "has_label": True,
        "image_0_uid": "u0",
        "image_0_url": "https://dead.example/0.png",
        "image_1_uid": "u1",
        "image_1_url": "https://dead.example/1.png",
        "jpg_0": picture(10, "JPEG"),
        "jpg_1": picture(20, "JPEG"),
        "label_0": 1.0,
        "label_1": 0.0,
        "model_0": "x",
        "model_1": "y",
        "ranking_id": 7,
        "user_id": 3,
        "num_example_per_prompt": 4,
        "__index_level_0__": 99,
    } | change


def save(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "validation_unique-00000-of-00001-0123456789abcdef.parquet"
    parquet.write_table(arrow.Table.from_pylist(list(rows)), path, row_group_size=2)
    return path


def test_a_row_is_a_comparison_of_two_files(tmp_path: Path, picture: Picture) -> None:
    path = save(tmp_path, row(picture), row(picture, label_0=0.5, label_1=0.5))
    reading = read("pickapic", path, image_cache=tmp_path / "cache")
    first, tie = reading
    assert isinstance(first, Comparison)
    assert isinstance(tie, Comparison)
    assert first.image_a.read_bytes() == picture(10, "JPEG")
    assert first.image_b.read_bytes() == picture(20, "JPEG")
    assert (first.prompt, first.target, first.votes) == ("a cat", 1.0, 1)
    assert (first.model_a, first.model_b, first.key) == ("x", "y", f"{path.name}#0")
    assert (tie.target, tie.image_a) == (0.5, first.image_a)


def test_the_second_may_be_preferred(tmp_path: Path, picture: Picture) -> None:
    path = save(tmp_path, row(picture, label_0=0.0, label_1=1.0))
    (record,) = read("pickapic", path, image_cache=tmp_path / "cache")
    assert isinstance(record, Comparison)
    assert record.target == 0.0


def test_rows_without_a_label_or_with_one_image_are_dropped_and_not_kept(
    tmp_path: Path, picture: Picture
) -> None:
    rows = [row(picture, has_label=False), row(picture, are_different=False)]
    reading = read("pickapic", save(tmp_path, *rows), image_cache=tmp_path / "cache")
    assert list(reading) == []
    assert reading.report.dropped == {"unlabelled": 1, "same_image": 1}
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"label_0": 1.0, "label_1": 1.0}, "data_row"),
        ({"label_0": None}, "data_row"),
        ({"label_0": float("nan")}, "data_row"),
        ({"caption": ""}, "data_row"),
        ({"jpg_1": None}, "data_row"),
        ({"jpg_1": b"no picture"}, "image_unrecognized"),
        ({"jpg_1": "same"}, "data_same_image"),
    ],
)
def test_what_makes_no_sense_is_a_bad_row(
    tmp_path: Path, picture: Picture, change: dict[str, Any], code: str
) -> None:
    if change.get("jpg_1") == "same":
        change = {"jpg_1": picture(10, "JPEG")}
    path = save(tmp_path, row(picture), row(picture, **change))
    reading = read("pickapic", path, image_cache=tmp_path / "cache", max_bad_share=0.5)
    assert len(list(reading)) == 1
    assert reading.report.bad == {code: 1}


def test_a_folder_for_the_images_must_be_named(tmp_path: Path, picture: Picture) -> None:
    with pytest.raises(ConfigError, match="image_cache"):
        list(read("pickapic", save(tmp_path, row(picture))))
