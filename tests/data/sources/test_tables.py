from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from librehps.data.records import Comparison, Ranking, Rating
from librehps.data.sources.columns import Columns
from librehps.data.sources.images import ImageFiles
from librehps.data.sources.protocol import Record, Row
from librehps.data.sources.reading import read
from librehps.data.sources.tables import CsvTable, JsonTable, TableSource
from librehps.errors import ConfigError, InputError
from tests.data.sources.archives import pack

PAIR = {"prompt": "a cat", "image_a": "1.png", "image_b": "2.png"}


def single(images: ImageFiles, fields: dict[str, Any], **columns: Any) -> Record:
    source: TableSource = JsonTable(Columns(**columns))
    (record,) = source.records(Row("a.jsonl", 3, 4, fields), images)
    return record


def test_a_row_becomes_a_comparison(images: ImageFiles, tmp_path: Path) -> None:
    fields = PAIR | {
        "target": 0.75,
        "votes": 4,
        "confidence": 2,
        "key": 12,
        "model_a": "x",
        "how": 1,
        "nobody": None,
    }
    axes = {"style": "how", "alignment": "nobody", "coherence": "missing"}
    assert single(images, fields, axes=axes) == Comparison(
        prompt="a cat",
        image_a=tmp_path / "1.png",
        image_b=tmp_path / "2.png",
        target=0.75,
        axis_targets={"style": 1.0},
        votes=4,
        confidence=2.0,
        key="12",
        model_a="x",
    )


def test_columns_may_have_other_names(images: ImageFiles, tmp_path: Path) -> None:
    names = {"prompt": "text", "image_a": "left", "image_b": "right", "preferred": "won"}
    fields = {"text": "p", "left": "l.png", "right": "r.png", "won": "left", "target": "no"}
    names["target"] = "none"
    record = single(images, fields, names=names, labels={"left": 1.0})
    assert isinstance(record, Comparison)
    assert (record.prompt, record.image_a, record.target) == ("p", tmp_path / "l.png", 1.0)
    assert record.key == "a.jsonl#3"


@pytest.mark.parametrize(
    ("outcome", "target", "votes"),
    [
        ({"preferred": "a"}, 1.0, None),
        ({"preferred": "tie", "votes": 3}, 0.5, 3),
        ({"votes_a": 1, "votes_b": 3}, 0.25, 4),
        ({"votes_a": "0", "votes_b": "2"}, 0.0, 2),
        ({"votes_a": 2.0, "votes_b": 2.0}, 0.5, 4),
        ({"target": "1e-1"}, 0.1, None),
    ],
)
def test_who_is_preferred_may_be_said_in_three_ways(
    images: ImageFiles, outcome: dict, target: float, votes: int | None
) -> None:
    record = single(images, PAIR | outcome)
    assert isinstance(record, Comparison)
    assert (record.target, record.votes) == (target, votes)


def test_a_label_may_be_a_number(images: ImageFiles) -> None:
    for winner, target in ((0, 1.0), (1, 0.0), ("1", 0.0)):
        record = single(images, PAIR | {"preferred": winner}, labels={"0": 1.0, "1": 0.0})
        assert isinstance(record, Comparison)
        assert record.target == target
    with pytest.raises(InputError, match="preferred is True"):
        single(images, PAIR | {"preferred": True}, labels={"0": 1.0, "1": 0.0})


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ({}, "stands in none"),
        ({"target": 1, "preferred": "a"}, "stands in target and preferred"),
        ({"preferred": "c"}, "the labels are a, b"),
        ({"preferred": 1}, "the labels are a, b"),
        ({"votes_a": 1}, "votes_b is None"),
        ({"votes_a": -1, "votes_b": 2}, "not a number of votes"),
        ({"votes_a": 1.5, "votes_b": 2}, "not a number of votes"),
        ({"votes_a": float("nan"), "votes_b": 2}, "not a number of votes"),
        ({"votes_a": "nan", "votes_b": 2}, "not a number"),
        ({"votes_a": True, "votes_b": 2}, "not a number"),
        ({"votes_a": 0, "votes_b": 0}, "nobody voted"),
        ({"target": float("nan")}, "from 0 to 1"),
        ({"target": "1_0"}, "not a number"),
        ({"target": "٣"}, "not a number"),
        ({"target": 2}, "from 0 to 1"),
        ({"target": 1, "votes": -3}, "not a number of votes"),
        ({"target": 1, "votes": 0}, "at least 1"),
        ({"target": 1, "confidence": "sure"}, "not a number"),
        ({"target": 1, "prompt": None}, "prompt is None"),
        ({"target": 1, "image_b": "../x"}, "no path inside"),
        ({"target": 1, "model_a": 3}, "model_a is 3"),
    ],
)
def test_what_makes_no_sense_is_told(images: ImageFiles, outcome: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        single(images, PAIR | outcome)


def test_a_row_becomes_a_ranking(images: ImageFiles, tmp_path: Path) -> None:
    fields = {"prompt": "p", "images": ["1", "2"], "ranks": [2, 1.5], "models": ["x", "y"]}
    assert single(images, fields, record="ranking") == Ranking(
        prompt="p",
        images=(tmp_path / "1", tmp_path / "2"),
        ranks=(2.0, 1.5),
        key="a.jsonl#3",
        models=("x", "y"),
    )
    for name, value in (("images", "1"), ("ranks", [1]), ("ranks", ["a", "b"]), ("models", [1, 2])):
        with pytest.raises(InputError):
            single(images, fields | {name: value}, record="ranking")


def test_a_row_becomes_a_rating(images: ImageFiles, tmp_path: Path) -> None:
    fields = {"prompt": "p", "image": "1", "value": 3, "model": "x"}
    assert single(images, fields, record="rating") == Rating(
        prompt="p", image=tmp_path / "1", value=3.0, key="a.jsonl#3", model="x"
    )


def test_csv_has_no_place_for_rankings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use JSON lines"):
        CsvTable(Columns(record="ranking")).rows(tmp_path / "a.csv")


TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), min_size=1
).filter(str.strip)


@st.composite
def comparison(draw: st.DrawFn, folder: Path, number: int) -> Comparison:
    return Comparison(
        prompt=draw(TEXT),
        image_a=folder / f"{draw(st.integers(0, 9))}.png",
        image_b=folder / "sub" / f"{draw(st.integers(0, 9))}.png",
        target=draw(st.floats(0, 1)),
        axis_targets=draw(
            st.dictionaries(st.sampled_from(["style", "alignment"]), st.floats(0, 1))
        ),
        votes=draw(st.none() | st.integers(1, 50)),
        confidence=draw(st.none() | st.floats(0, 10)),
        key=f"{number} {draw(TEXT)}",
        model_a=draw(st.none() | TEXT),
        model_b=draw(st.none() | TEXT),
    )


def flat(record: Comparison, folder: Path) -> dict[str, Any]:
    fields = dict(vars(record))
    axes = fields.pop("axis_targets")
    for side in ("image_a", "image_b"):
        fields[side] = fields[side].relative_to(folder).as_posix()
    return fields | {axis: axes.get(axis) for axis in ("style", "alignment")}


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["prompt"])
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(map(json.dumps, rows)))


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    table = (
        arrow.Table.from_pylist(rows) if rows else arrow.table({"prompt": arrow.array([], "str")})
    )
    parquet.write_table(table, path)


def write_tar(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_bytes(pack({f"{n}.json": json.dumps(row).encode() for n, row in enumerate(rows)}))


WRITERS = {"csv": write_csv, "jsonl": write_json, "parquet": write_parquet, "webdataset": write_tar}


@pytest.mark.parametrize("kind", WRITERS)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_what_is_written_is_read(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    written = [
        data.draw(comparison(tmp_path, number)) for number in range(data.draw(st.integers(0, 3)))
    ]
    path = tmp_path / f"out.{kind}"
    WRITERS[kind](path, [flat(record, tmp_path) for record in written])
    columns = Columns(axes={"style": "style", "alignment": "alignment"})
    reading = read(kind, path, columns=columns, strict=True)
    assert list(reading) == written
    assert reading.report.rows == len(written)


def test_images_inside_a_table_become_files(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    stored = {"bytes": picture(2), "path": "x.png"}
    rows = [{"prompt": "p", "image_a": picture(1), "image_b": stored, "preferred": "b"}]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    files = {"1.image_a.png": picture(1), "1.image_b.png": picture(2)}
    rest = json.dumps({"prompt": "p", "preferred": "b"}).encode()
    (tmp_path / "a.tar").write_bytes(pack(files | {"1.json": rest}))
    cache = tmp_path / "cache"
    found = [
        next(iter(read(kind, tmp_path / name, image_cache=cache)))
        for kind, name in (("parquet", "a.parquet"), ("webdataset", "a.tar"))
    ]
    for record in found:
        assert isinstance(record, Comparison)
        assert record.image_a.read_bytes() == picture(1)
        assert record.image_b.read_bytes() == picture(2)
    assert len([path for path in cache.rglob("*") if path.is_file()]) == 2
