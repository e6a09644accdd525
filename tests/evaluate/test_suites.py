"""Suites: which rows they take, how they split and turn them, and what they refuse."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from librehps.errors import ConfigError, InputError
from librehps.evaluate.split import in_calibration_part, turned_round
from librehps.evaluate.suites import SUITES, Suite, spread_evenly
from librehps.evaluate.tie_rules import TIE_RULES


def write(path: Path, count: int = 40, bad: tuple[int, ...] = ()) -> Path:
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
    for place in bad:
        rows[place]["path1"] = "../outside.png"
    path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize("name", list(SUITES))
def test_every_suite_has_a_rule_and_says_what_it_is(name: str) -> None:
    assert isinstance(SUITES[name], Suite)
    assert SUITES[name].tie_rule in TIE_RULES
    assert SUITES[name].description


def test_pairs_are_split_and_turned_by_their_row(tmp_path: Path) -> None:
    path = write(tmp_path / "test.json")
    found = SUITES["hpdv3"].read(tmp_path)
    assert (found.name, found.num_rows, len(found.cases)) == ("hpdv3", 40, 40)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.images == tmp_path
    for place, case in enumerate(found.cases):
        assert case.global_index == place
        assert case.for_fitting == in_calibration_part(place)
        first = 2 if turned_round(place) else 1
        assert case.comparison.image_a == tmp_path / f"images/{place}-{first}.png"
        assert case.comparison.target == (0.25 if turned_round(place) else 0.75)
        assert case.comparison.axis_targets["style"] == (0.75 if turned_round(place) else 0.25)
    assert not any(case.for_fitting for case in SUITES["hpdv3-test"].read(tmp_path).cases)


def test_a_bad_row_moves_no_other(tmp_path: Path) -> None:
    write(tmp_path / "some.json", count=200, bad=(3,))
    found = SUITES["hpdv3-layout"].read(tmp_path / "some.json")
    assert found.name == f"{tmp_path.name}/some"
    assert [row.index for row in found.bad_rows] == [3]
    assert [case.global_index for case in found.cases] == [n for n in range(200) if n != 3]
    by_index = {case.global_index: case for case in found.cases}
    assert by_index[7].comparison.image_a.name.startswith("7-")
    assert by_index[7].for_fitting == in_calibration_part(7)


def test_wrong_data_is_named(tmp_path: Path) -> None:
    write(tmp_path / "test.json", count=0)
    cases = [
        ("hpdv3", tmp_path / "test.json", ConfigError, "suite_data"),
        ("hpdv3-layout", tmp_path, ConfigError, "suite_data"),
        ("hpdv3-layout", tmp_path / "nowhere.json", InputError, "data_file"),
        ("hpdv3", tmp_path, InputError, "data_file"),
    ]
    for name, data, kind, code in cases:
        with pytest.raises(kind) as caught:
            SUITES[name].read(data)
        assert caught.value.code == code


def test_a_limit_takes_from_all_over_the_file(tmp_path: Path) -> None:
    write(tmp_path / "test.json")
    cases = SUITES["hpdv3"].read(tmp_path).cases
    assert [case.global_index for case in spread_evenly(cases, 5)] == [0, 8, 16, 24, 32]
    assert spread_evenly(cases, 40) == spread_evenly(cases, 900) == cases
    assert spread_evenly(cases, None) == cases
    with pytest.raises(ConfigError) as caught:
        spread_evenly(cases, 0)
    assert caught.value.code == "suite_limit"
