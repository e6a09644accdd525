from __future__ import annotations

import json
from pathlib import Path

import pytest

from librehps.data.records import Comparison, Ranking
from librehps.data.sources.reading import read

TRAIN = {
    "human_preference": [0, 1],
    "prompt": "a cat",
    "file_path": ["00000001.jpg", "00000002.jpg"],
    "user_hash": "ab12",
}
TEST = {
    "prompt": "a dog",
    "image_path": ["00000001.jpg", "00000002.jpg", "00000003.jpg"],
    "rank": [2, 1, 2],
    "raw_annotations": [{"rank": [3, 1, 2], "user_hash": "ab12"}],
}


def save(folder: Path, *rows: object) -> Path:
    path = folder / "rows.json"
    path.write_text(json.dumps(list(rows)))
    return path


def test_a_row_of_the_train_file_is_a_comparison(tmp_path: Path) -> None:
    path = save(tmp_path, TRAIN, TRAIN | {"human_preference": [1, 0]})
    first, second = read("hpdv2", path, root=tmp_path / "train")
    assert first == Comparison(
        prompt="a cat",
        image_a=tmp_path / "train" / "00000001.jpg",
        image_b=tmp_path / "train" / "00000002.jpg",
        target=0.0,
        votes=1,
        key="rows.json#0",
    )
    assert isinstance(second, Comparison)
    assert second.target == 1.0


def test_a_row_of_the_test_file_is_a_ranking(tmp_path: Path) -> None:
    (ranking,) = read("hpdv2", save(tmp_path, TEST))
    assert ranking == Ranking(
        prompt="a dog",
        images=tuple(tmp_path / f"0000000{n}.jpg" for n in (1, 2, 3)),
        ranks=(2.0, 1.0, 2.0),
        key="rows.json#0",
    )
    assert isinstance(ranking, Ranking)
    assert [pair.target for pair in ranking.comparisons()] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    "row",
    [
        TRAIN | {"human_preference": [1, 1]},
        TRAIN | {"human_preference": [0, 0]},
        TRAIN | {"human_preference": [1]},
        TRAIN | {"human_preference": 1},
        TRAIN | {"file_path": ["00000001.jpg"]},
        TRAIN | {"file_path": "00000001.jpg"},
        TRAIN | {"file_path": ["1.jpg", "1.jpg"]},
        TRAIN | {"file_path": ["1.jpg", "../2.jpg"]},
        TEST | {"rank": [1, 2]},
        TEST | {"rank": ["1", "2", "3"]},
        TEST | {"image_path": None},
    ],
)
def test_what_makes_no_sense_is_a_bad_row(tmp_path: Path, row: dict) -> None:
    reading = read("hpdv2", save(tmp_path, TRAIN, row), max_bad_share=0.5)
    assert len(list(reading)) == 1
    assert reading.report.num_bad == 1
