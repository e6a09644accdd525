"""Suites from readers: places of rows, bad rows, several files, names and videos."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from librehps.data.records import Comparison, Ranking
from librehps.data.sources import BadRow, Columns, GenAIBenchSource, HPDv2Source, make_source
from librehps.errors import ConfigError, InputError
from librehps.evaluate.source_suite import SourceSuite
from librehps.evaluate.split import in_calibration_part, turned_round
from tests.evaluate import suite_samples

PAIRS = SourceSuite(source=make_source("jsonl"), description="pairs")


def row(n: int, **change: Any) -> dict[str, Any]:
    return {
        "prompt": f"p{n}",
        "image_a": f"{n}-a.png",
        "image_b": f"{n}-b.png",
        "target": 1,
    } | change


def save(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def test_a_bad_row_is_told_and_moves_no_other(tmp_path: Path) -> None:
    path = save(tmp_path / "some.jsonl", *(row(n, target=2 if n == 3 else 1) for n in range(200)))
    bad: list[BadRow] = []
    found = PAIRS.read(path, on_bad=bad.append)
    assert found.name == f"{tmp_path.name}/some"
    assert (found.num_rows, found.num_bad_rows) == (200, 1)
    assert [(one.row, one.code) for one in bad] == [(3, "record_value")]
    assert [case.global_index for case in found.cases] == [n for n in range(200) if n != 3]
    for case in found.cases:
        pair, place = case.record, case.global_index
        assert isinstance(pair, Comparison)
        assert pair.image_a.name == f"{place}-{'b' if turned_round(place) else 'a'}.png"
        assert case.for_fitting == in_calibration_part(place)


def test_too_many_bad_rows_stop_and_are_told_all_the_same(tmp_path: Path) -> None:
    path = save(tmp_path / "some.jsonl", *(row(n, target=2 if n < 3 else 1) for n in range(10)))
    bad: list[BadRow] = []
    with pytest.raises(InputError) as caught:
        PAIRS.read(path, max_bad_share=0.2, on_bad=bad.append)
    assert (caught.value.code, len(bad)) == ("data_bad_rows", 3)
    assert len(PAIRS.read(path, max_bad_share=0.3).cases) == 7


def test_rows_of_several_files_are_counted_through(tmp_path: Path) -> None:
    save(tmp_path / "b.jsonl", row(2), row(3))
    save(tmp_path / "a.jsonl", row(0), row(1, target=None), row(4))
    found = PAIRS.read(tmp_path, max_bad_share=0.5)
    assert found.name == f"{tmp_path.parent.name}/{tmp_path.name}"
    assert [(case.global_index, case.record.prompt) for case in found.cases] == [
        (0, "p0"),
        (2, "p4"),
        (3, "p2"),
        (4, "p3"),
    ]
    lines = [
        f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("a.jsonl", "b.jsonl")
    ]
    assert found.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    one = PAIRS.read(tmp_path / "b.jsonl")
    assert one.sha256 == hashlib.sha256((tmp_path / "b.jsonl").read_bytes()).hexdigest()


def test_a_ranking_is_one_record_and_is_not_turned(tmp_path: Path) -> None:
    data = suite_samples.hpdv2(tmp_path, count=3)
    found = SourceSuite(source=HPDv2Source(), description="x", prefix="own").read(data)
    assert found.name == "own/test"
    assert [case.global_index for case in found.cases] == [0, 1, 2]
    first = found.cases[0].record
    assert isinstance(first, Ranking)
    assert [image.name for image in first.images] == [f"0-{k}.png" for k in range(4)]


def test_no_record_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no record") as caught:
        PAIRS.read(save(tmp_path / "none.jsonl"))
    assert caught.value.code == "data_file"


def test_one_video_stops_the_reading(tmp_path: Path) -> None:
    path = save(tmp_path / "some.jsonl", row(0), row(1, image_b="clips/1.MP4"), row(2))
    with pytest.raises(ConfigError, match=r"some\.jsonl#1: holds videos") as caught:
        PAIRS.read(path, max_bad_share=1.0)
    assert caught.value.code == "suite_video"
    marks = SourceSuite(source=make_source("jsonl", Columns(record="rating")), description="marks")
    path = save(tmp_path / "marks.jsonl", {"prompt": "p", "image": "a.webm", "value": 3})
    with pytest.raises(ConfigError) as caught:
        marks.read(path)
    assert caught.value.code == "suite_video"


def test_columns_of_videos_stop_the_reading_whatever_is_in_them(tmp_path: Path) -> None:
    bytes_of_video = b"\0\0\0\x20ftypisom" + bytes(100)
    rows = [
        {"prompt": "p", "vote_type": "leftvote"}
        | dict.fromkeys(("left_video", "right_video"), bytes_of_video)
    ]
    path = suite_samples.save_parquet(tmp_path / "video.parquet", rows)
    suite = SourceSuite(
        source=GenAIBenchSource(), description="x", video_columns=("left_video", "right_video")
    )
    with pytest.raises(ConfigError) as caught:
        suite.read(path)
    assert caught.value.code == "suite_video"


def test_what_may_be_named_is_said(tmp_path: Path) -> None:
    path = save(tmp_path / "some.jsonl", row(0))
    inside = SourceSuite(
        source=make_source("jsonl"), description="x", file="some.jsonl", takes="folder"
    )
    assert inside.read(tmp_path).cases == PAIRS.read(path).cases
    with pytest.raises(ConfigError, match=r"the folder that holds some\.jsonl"):
        inside.read(path)
    with pytest.raises(ConfigError, match="takes a file"):
        SourceSuite(source=make_source("jsonl"), description="x", takes="file").read(tmp_path)
