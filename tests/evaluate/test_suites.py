"""The suites that come with the package: one contract for all, their tie rules and options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from librehps.data.records import Comparison
from librehps.data.sources import SOURCES, Columns
from librehps.errors import ConfigError, InputError
from librehps.evaluate.split import in_calibration_part, turned_round
from librehps.evaluate.suite import SuiteOptions
from librehps.evaluate.suites import SUITES
from librehps.testing.suite_contract import check_suite
from tests.evaluate.suite_samples import SAMPLES

# The rules of the published numbers; see the table of tie rules in docs/evaluation.md.
RULES = {
    "hpdv3": "strict",
    "hpdv3-test": "strict",
    "hpdv3-layout": "strict",
    "hpdv2": "hpsv2",
    "pickapic": "pickscore",
    "imagereward": "imagereward",
    "imagereward-hpsv2": "hpsv2_imagereward",
    "imagereward-ratings": "strict",
    "genai-bench": "three_class",
    "visionreward": "three_class",
    "videogen-rewardbench": "three_class",
    "videoalign": "three_class",
    "csv": "strict",
    "jsonl": "strict",
    "parquet": "strict",
    "webdataset": "strict",
}


@pytest.mark.parametrize("name", list(SUITES))
def test_every_suite_keeps_the_contract(name: str, tmp_path: Path) -> None:
    make, options = SAMPLES[name]
    check_suite(SUITES[name](options), make(tmp_path))


def test_every_reader_is_a_suite_with_the_rule_of_its_origin() -> None:
    assert set(SOURCES) <= set(SUITES)
    assert {name: SUITES[name](SuiteOptions()).tie_rule for name in SUITES} == RULES


def write(path: Path, count: int = 40) -> None:
    rows: list[dict[str, Any]] = [
        {
            "prompt": f"prompt {n // 2}",
            "path1": f"images/{n}-1.png",
            "path2": f"images/{n}-2.png",
            "choice_dist": [3, 1],
            "librehps": {"axis_targets": {"style": 0.25}},
        }
        for n in range(count)
    ]
    path.write_text(json.dumps(rows))


def test_pairs_of_hpdv3_are_split_and_turned_by_their_row(tmp_path: Path) -> None:
    write(tmp_path / "test.json")
    found = SUITES["hpdv3"](SuiteOptions()).read(tmp_path)
    assert (found.name, found.num_rows, len(found.cases)) == ("hpdv3", 40, 40)
    for place, case in enumerate(found.cases):
        pair = case.record
        assert isinstance(pair, Comparison)
        assert (case.global_index, case.for_fitting) == (place, in_calibration_part(place))
        first = 2 if turned_round(place) else 1
        assert pair.image_a == tmp_path / f"images/{place}-{first}.png"
        assert pair.target == (0.25 if turned_round(place) else 0.75)
        assert pair.axis_targets["style"] == (0.75 if turned_round(place) else 0.25)
    whole = SUITES["hpdv3-test"](SuiteOptions()).read(tmp_path)
    assert not any(case.for_fitting for case in whole.cases)


def test_wrong_data_is_named(tmp_path: Path) -> None:
    write(tmp_path / "test.json", count=0)
    cases = [
        ("hpdv3", tmp_path / "test.json", ConfigError, "suite_data"),
        ("hpdv3-layout", tmp_path, ConfigError, "suite_data"),
        ("hpdv3-layout", tmp_path / "nowhere.json", InputError, "data_file"),
        ("hpdv3", tmp_path, InputError, "data_file"),
        ("hpdv2", tmp_path / "nowhere", InputError, "data_file"),
    ]
    for name, data, kind, code in cases:
        with pytest.raises(kind) as caught:
            SUITES[name](SuiteOptions()).read(data)
        assert caught.value.code == code


def test_hpdv2_takes_its_test_file_out_of_a_folder(tmp_path: Path) -> None:
    make, options = SAMPLES["hpdv2"]
    make(tmp_path)
    (tmp_path / "train.json").write_text("[]")
    suite = SUITES["hpdv2"](options)
    assert suite.read(tmp_path).cases == suite.read(tmp_path / "test.json").cases
    assert suite.read(tmp_path).name == "hpdv2/test"


def test_root_and_share_are_the_users(tmp_path: Path) -> None:
    write(tmp_path / "test.json")
    options = SuiteOptions(root=tmp_path / "pictures", share=1.0)
    found = SUITES["hpdv3"](options).read(tmp_path)
    assert found.images == tmp_path / "pictures"
    assert all(case.for_fitting for case in found.cases)
    with pytest.raises(ConfigError) as caught:
        SUITES["csv"](SuiteOptions(share=1.5))
    assert caught.value.code == "split_share"


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if name not in ("csv",)])
def test_columns_are_for_tables(name: str) -> None:
    options = SuiteOptions(columns=Columns(record="ranking"))
    if name in ("jsonl", "parquet", "webdataset"):
        assert "a row is a ranking" in SUITES[name](options).description
        return
    with pytest.raises(ConfigError) as caught:
        SUITES[name](options)
    assert caught.value.code == "data_columns"
