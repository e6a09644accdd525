from __future__ import annotations

import json
from pathlib import Path

import pytest

from librehps.data import read_hpdv3
from librehps.data.sources.hpdv3 import HPDv3Source
from librehps.data.sources.reading import read
from librehps.errors import ConfigError

TRAIN = {
    "prompt": "a cat",
    "choice_dist": [12, 7],
    "confidence": 0.9,
    "path1": "images/1.jpg",
    "path2": "images/2.jpg",
    "model1": "flux",
    "model2": "sdxl",
}
CURATED = TRAIN | {"choice_dist": None, "confidence": None, "model1": "midjourney"}
TEST = {name: TRAIN[name] for name in ("prompt", "path1", "path2", "model1", "model2")}
AGAINST = TRAIN | {"choice_dist": [5, 15]}


@pytest.mark.parametrize("indent", [None, 4])
def test_one_at_a_time_is_what_the_whole_file_is(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "all.json"
    path.write_text(json.dumps([TRAIN, CURATED, TEST, AGAINST], indent=indent))
    found = list(read("hpdv3", path))
    assert found == list(read_hpdv3(path).comparisons)
    assert [record.target for record in found] == [12 / 19, 1.0, 1.0, 0.25]


def test_rows_that_are_less_sure_are_dropped_where_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps([TRAIN, CURATED, TRAIN | {"confidence": 0.5}]))
    reading = read(HPDv3Source(min_confidence=0.6), path)
    assert [record.key for record in reading] == ["train.json#0", "train.json#1"]
    assert reading.report.dropped == {"below_confidence": 1}
    with pytest.raises(ConfigError):
        HPDv3Source(min_confidence=-1.0)
