from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

from librehps.data.loader import PairLoader
from librehps.data.records import Comparison, Ranking, Rating
from librehps.data.sources import report as report_module
from librehps.data.sources.columns import Columns
from librehps.data.sources.hpdv3 import HPDv3Source
from librehps.data.sources.images import ImageFiles
from librehps.data.sources.protocol import Dropped, Record, Row
from librehps.data.sources.reading import EARLY_ROWS, Reading, make_source, read
from librehps.data.sources.report import BadRow
from librehps.data.sources.tables import JsonTable
from librehps.errors import ConfigError, InputError
from librehps.testing.tiny import tiny_processor

ROW = {"prompt": "a cat", "path1": "1.jpg", "path2": "2.jpg", "choice_dist": [3, 1]}
BAD = ROW | {"choice_dist": [-1, 2]}


def save(folder: Path, *rows: Any, name: str = "train.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(rows, indent=1))
    return path


def test_a_corrupt_row_in_the_middle_is_reported_with_its_line(tmp_path: Path) -> None:
    path = save(tmp_path, *[ROW] * 5)
    lines = path.read_text().splitlines()
    length = (len(lines) - 2) // 5
    lines[1 + 2 * length + 1] = "nope"
    path.write_text("\n".join(lines))
    reading = read("hpdv3", path, max_bad_share=0.2, bad_rows=tmp_path / "bad.jsonl")
    assert [record.key for record in reading] == [f"train.json#{n}" for n in (0, 1, 3, 4)]
    report = reading.report
    (bad,) = report.bad_rows
    assert (bad.file, bad.row, bad.line) == ("train.json", 2, 2 + 2 * length)
    assert (bad.key, bad.code) == ("train.json#2", "data_syntax")
    assert (report.rows, report.records, report.bad) == (5, {"comparison": 4}, {"data_syntax": 1})
    assert report.finished
    listed = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert listed == [vars(bad)]


def test_strict_stops_at_the_first(tmp_path: Path) -> None:
    reading = read("hpdv3", save(tmp_path, ROW, BAD, ROW), strict=True)
    found: list[Record] = []
    with pytest.raises(InputError, match=r"train.json line 11 \(row 1\): choice_dist is") as caught:
        found.extend(reading)
    assert caught.value.code == "data_row"
    assert reading.report.rows == 2
    assert not reading.report.finished


def test_more_bad_rows_than_allowed_raise_at_the_end(tmp_path: Path) -> None:
    path, listing = save(tmp_path, ROW, BAD, ROW, BAD), tmp_path / "bad.jsonl"
    assert len(list(read("hpdv3", path, max_bad_share=0.5))) == 2
    found: list[Record] = []
    with pytest.raises(InputError, match=r"2 of 4 rows.*row 1\): choice_dist") as caught:
        found.extend(read("hpdv3", path, max_bad_share=0.49, bad_rows=listing))
    assert (caught.value.code, caught.value.item) == ("data_bad_rows", str(path))
    assert len(found) == 2
    assert len(listing.read_text().splitlines()) == 2


def first_rows(count: int, share: float) -> list[dict[str, Any]]:
    """Rows of which a share is bad, spread evenly."""
    return [BAD if int((n + 1) * share) > int(n * share) else ROW for n in range(count)]


@pytest.mark.parametrize(
    ("bad", "limit", "stopped_at"),
    [
        # Far above the limit: at the first bad row from the thousandth on.
        (1.0, 0.01, EARLY_ROWS),
        (0.2, 0.01, EARLY_ROWS),
        (1.0, 0.2, EARLY_ROWS),
        (0.01, 0.0, EARLY_ROWS),
        # Above the limit, and the rest might still make up for it: at the end.
        (0.05, 0.01, None),
        (0.4, 0.3, None),
    ],
)
def test_a_file_that_is_bad_through_and_through_is_given_up_early(
    tmp_path: Path, bad: float, limit: float, stopped_at: int | None
) -> None:
    path = save(tmp_path, *first_rows(EARLY_ROWS + 500, bad))
    listing = tmp_path / "bad.jsonl"
    reading = read("hpdv3", path, max_bad_share=limit, bad_rows=listing)
    with pytest.raises(InputError) as caught:
        list(reading)
    assert caught.value.code == "data_bad_rows"
    report = reading.report
    assert report.rows == (EARLY_ROWS + 500 if stopped_at is None else stopped_at)
    assert report.finished == (stopped_at is None)
    assert ("of the first 1000 rows" in str(caught.value)) == (stopped_at is not None)
    assert len(listing.read_text().splitlines()) == report.num_bad


def test_what_is_allowed_is_never_given_up(tmp_path: Path) -> None:
    path = save(tmp_path, *first_rows(EARLY_ROWS + 500, 0.9))
    assert len(list(read("hpdv3", path, max_bad_share=0.9))) == 150
    # A bad beginning is made up for by the rest.
    path = save(tmp_path, *[BAD] * 20, *[ROW] * (EARLY_ROWS + 1000))
    assert len(list(read("hpdv3", path, max_bad_share=0.01))) == EARLY_ROWS + 1000


def test_rows_are_counted_through_files_and_bad_ones_are_told(tmp_path: Path) -> None:
    save(tmp_path, ROW, BAD, ROW, name="a.json")
    save(tmp_path, ROW, name="b.json")
    told: list[BadRow] = []
    files = (tmp_path / "a.json", tmp_path / "b.json")
    reading = Reading(
        HPDv3Source(), files, ImageFiles(tmp_path), max_bad_share=1.0, on_bad=told.append
    )
    found = [(number, row.name, len(records)) for number, row, records in reading.by_row()]
    assert found == [(0, "a.json#0", 1), (2, "a.json#2", 1), (3, "b.json#0", 1)]
    assert [(bad.file, bad.row) for bad in told] == [("a.json", 1)]
    assert (reading.report.rows, reading.report.finished) == (4, True)


def test_sources_are_made_by_name() -> None:
    columns = Columns(record="ranking")
    made = make_source("jsonl", columns)
    assert isinstance(made, JsonTable)
    assert made.columns == columns
    assert isinstance(make_source("hpdv3"), HPDv3Source)
    with pytest.raises(ConfigError) as caught:
        make_source("hpdv3", columns)
    assert caught.value.code == "data_columns"


def test_what_a_rule_leaves_out_is_counted_and_is_not_bad(tmp_path: Path) -> None:
    rows = [ROW | {"confidence": sure} for sure in (0.2, 0.9, None)]
    reading = read(HPDv3Source(min_confidence=0.5), save(tmp_path, *rows), max_bad_share=0.0)
    assert len(list(reading)) == 2
    assert (reading.report.dropped, reading.report.bad) == ({"below_confidence": 1}, {})


def test_every_pass_is_a_new_one(tmp_path: Path) -> None:
    reading = read("hpdv3", save(tmp_path, ROW, BAD), max_bad_share=1.0)
    first = list(reading)
    assert list(reading) == first
    assert reading.report.rows == 2


def test_a_pass_that_is_given_up_leaves_its_report_and_its_list(tmp_path: Path) -> None:
    listing = tmp_path / "bad.jsonl"
    reading = read("hpdv3", save(tmp_path, BAD, ROW, ROW), bad_rows=listing)
    iterator = iter(reading)
    assert isinstance(iterator, Iterator)
    next(iterator)
    iterator.close()
    assert (reading.report.rows, reading.report.finished) == (2, False)
    assert len(listing.read_text().splitlines()) == 1


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    save(tmp_path, ROW, name="b.json")
    save(tmp_path, ROW, name="a.json")
    assert [record.key for record in read("hpdv3", tmp_path)] == ["a.json#0", "b.json#0"]


def test_paths_start_at_the_files_folder_or_at_a_root(tmp_path: Path) -> None:
    path = save(tmp_path, ROW)
    for root, base in ((None, tmp_path), (tmp_path / "x", tmp_path / "x"), ("y", Path("y"))):
        (record,) = read("hpdv3", path, root=root)
        assert isinstance(record, Comparison)
        assert record.image_a == base / "1.jpg"


def test_paths_outside_are_refused_unless_allowed(tmp_path: Path) -> None:
    path = save(tmp_path, ROW | {"path1": "/x.jpg"}, ROW | {"path1": "../x.jpg"})
    reading = read("hpdv3", path, max_bad_share=1.0)
    assert list(reading) == []
    assert reading.report.bad == {"data_path": 2}
    assert len(list(read("hpdv3", path, allow_outside=True))) == 2


def test_images_are_looked_for_when_asked(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").touch()
    reading = read("hpdv3", save(tmp_path, ROW), check_files=True, max_bad_share=1.0)
    assert list(reading) == []
    assert reading.report.bad == {"data_image": 1}


@dataclass
class Given:
    """A source of rows that are there already."""

    found: dict[str, Any] = field(default_factory=dict)
    suffixes: tuple[str, ...] = (".json",)
    ties: str = "none"

    def rows(self, file: Path) -> Iterator[Row]:
        for index, key in enumerate(self.found):
            yield Row(file.name, index, key=key)

    def records(self, row: Row, images: ImageFiles) -> Any:
        return self.found[row.key]


A, B = Path("a"), Path("b")


def pair(**change: Any) -> Comparison:
    return Comparison(**{"prompt": "p", "image_a": A, "image_b": B, "target": 1.0} | change)


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([pair(image_b=A)], "data_same_image"),
        ([Ranking(prompt="p", images=(A, B, A), ranks=(1.0, 2.0, 3.0))], "data_same_image"),
        ([pair(prompt="a\0b")], "data_encoding"),
        ([pair(key="a\0b")], "data_encoding"),
        ([pair(key="first")], "data_duplicate"),
        ([pair(key="x"), pair(key="x")], "data_duplicate"),
        ([Rating(prompt="p", image=A, value=1.0, key="x"), pair(image_b=A)], "data_same_image"),
    ],
)
def test_what_no_set_should_hold_is_refused_and_a_row_is_kept_whole_or_not_at_all(
    tmp_path: Path, records: list[Record], code: str
) -> None:
    source = Given({"1": [pair(key="first")], "2": records, "3": Dropped("rule")})
    reading = Reading(source, (tmp_path / "a.json",), ImageFiles(tmp_path), max_bad_share=1.0)
    assert [record.key for record in reading] == ["first"]
    assert (reading.report.bad, reading.report.dropped) == ({code: 1}, {"rule": 1})


def test_columns_are_for_tables(tmp_path: Path) -> None:
    path = save(tmp_path)
    for source in ("hpdv3", HPDv3Source()):
        with pytest.raises(ConfigError) as caught:
            read(source, path, columns=Columns())
        assert caught.value.code == "data_columns"
    with pytest.raises(ConfigError, match="did you mean 'hpdv3'"):
        read("hpd3", path)


@pytest.mark.parametrize("share", [-0.1, float("nan")])
def test_a_share_must_be_a_number(tmp_path: Path, share: float) -> None:
    with pytest.raises(ConfigError) as caught:
        read("hpdv3", save(tmp_path), max_bad_share=share)
    assert caught.value.code == "data_value"


def test_images_inside_a_file_go_through_the_loader(
    tmp_path: Path, picture: Callable[..., bytes]
) -> None:
    rows = [
        {"prompt": "p", "image_a": picture(n), "image_b": picture(n + 1), "target": 1.0}
        for n in range(3)
    ]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    reading = read("parquet", tmp_path / "a.parquet", image_cache=tmp_path / "cache")
    pairs = [one for one in reading if isinstance(one, Comparison)]
    (batch,) = PairLoader(pairs, tiny_processor(), batch_pairs=3).batches()
    assert sorted(batch.keys) == ["a.parquet#0", "a.parquet#1", "a.parquet#2"]


def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three bad rows in four, of which few are quoted: what is bad must not be held either.
    monkeypatch.setattr(report_module, "QUOTED", 5)
    long = ROW | {"prompt": 3000 * "cat "}

    def peak(count: int) -> int:
        path = save(tmp_path, *([long, BAD, BAD, BAD] * (count // 4)))
        tracemalloc.start()
        for _ in read("hpdv3", path, max_bad_share=1.0, bad_rows=tmp_path / "bad.jsonl"):
            pass
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    monkeypatch.setattr("librehps.data.sources.json_rows._CHUNK", 2**15)
    peak(8)
    small, large = peak(24), peak(240)
    assert (tmp_path / "train.json").stat().st_size > 700_000
    assert large < small + 60_000
