from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from librehps.data.records import Comparison
from librehps.data.sources.reading import read
from librehps.errors import InputError

PAIR = {
    "path_A": "./videos/a.mp4",
    "path_B": "./videos/b.mp4",
    "prompt": "a cat, running",
    "fps_A": "24",
    "num_frames_A": "120",
    "fps_B": "30",
    "num_frames_B": "150",
    "VQ": "A",
    "MQ": "same",
    "TA": "B",
}
BENCH = PAIR | {"A_model": "x", "B_model": "y", "Overall": "A"}
TRAIN = PAIR | {"MOS_A_VQ": "3.5", "MOS_B_VQ": "2.0"}


def save(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "pairs.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_row_of_the_benchmark_has_labels_overall_and_on_axes(tmp_path: Path) -> None:
    (record,) = read("videogen-rewardbench", save(tmp_path, BENCH))
    assert record == Comparison(
        prompt="a cat, running",
        image_a=tmp_path / "videos" / "a.mp4",
        image_b=tmp_path / "videos" / "b.mp4",
        target=1.0,
        axis_targets={"style": 1.0, "temporal": 0.5, "alignment": 0.0},
        key="pairs.csv#0",
        model_a="x",
        model_b="y",
    )


def targets(name: str, path: Path) -> list[float]:
    return [one.target for one in read(name, path) if isinstance(one, Comparison)]


def test_the_label_same_is_a_tie(tmp_path: Path) -> None:
    path = save(tmp_path, *(BENCH | {"Overall": word} for word in ("A", "B", "same")))
    assert targets("videogen-rewardbench", path) == [1.0, 0.0, 0.5]


def test_a_row_without_a_label_overall_is_dropped(tmp_path: Path) -> None:
    path = save(tmp_path, BENCH | {"Overall": ""}, BENCH | {"Overall": "invalid"})
    reading = read("videogen-rewardbench", path)
    assert list(reading) == []
    assert reading.report.dropped == {"unlabelled": 2}


def test_overall_is_the_mean_of_the_axes_where_nobody_was_asked(tmp_path: Path) -> None:
    rows = [TRAIN, TRAIN | {"TA": "invalid"}, TRAIN | dict.fromkeys(("VQ", "MQ", "TA"), "invalid")]
    reading = read("videoalign", save(tmp_path, *rows))
    first, second = reading
    assert isinstance(first, Comparison)
    assert isinstance(second, Comparison)
    assert (first.target, second.target) == (0.5, 0.75)
    assert second.axis_targets == {"style": 1.0, "temporal": 0.5}
    assert reading.report.dropped == {"unlabelled": 1}


@pytest.mark.parametrize("word", ["a", "SAME", "C", "1", "nan"])
@pytest.mark.parametrize("column", ["VQ", "Overall"])
def test_an_unknown_label_is_a_bad_row_and_not_withdrawn(
    tmp_path: Path, column: str, word: str
) -> None:
    path = save(tmp_path, BENCH, BENCH | {column: word})
    reading = read("videogen-rewardbench", path, max_bad_share=0.5)
    assert len(list(reading)) == 1
    (bad,) = reading.report.bad_rows
    assert (bad.line, bad.code) == (3, "data_row")
    assert f"{column} is {word!r}" in bad.message


def test_the_benchmark_must_have_a_column_overall(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'Overall'") as caught:
        list(read("videogen-rewardbench", save(tmp_path, TRAIN)))
    assert caught.value.code == "data_columns"
