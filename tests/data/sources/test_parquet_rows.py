from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

from librehps.data.sources import parquet_rows as module
from librehps.data.sources.parquet_rows import parquet_rows
from librehps.errors import ConfigError, InputError


def save(folder: Path, table: dict[str, Any] | arrow.Table, **options: Any) -> Path:
    path = folder / "a.parquet"
    whole = table if isinstance(table, arrow.Table) else arrow.table(table)
    parquet.write_table(whole, path, **options)
    return path


def test_the_columns_that_are_asked_for_are_read(tmp_path: Path) -> None:
    path = save(
        tmp_path, {"n": list(range(20)), "t": [b"x"] * 20, "u": ["no"] * 20}, row_group_size=7
    )
    rows = list(parquet_rows(path, needed=("n",), optional=("t", "n", "other")))
    assert [dict(row.fields) for row in rows] == [{"n": n, "t": b"x"} for n in range(20)]
    assert [row.index for row in rows] == list(range(20))
    assert {row.line for row in rows} == {None}


def test_a_struct_comes_as_its_fields(tmp_path: Path) -> None:
    path = save(tmp_path, {"image": [{"bytes": b"x", "path": None}], "p": ["a"]})
    (row,) = parquet_rows(path, needed=("p",), optional=("image",))
    assert row.fields == {"p": "a", "image": {"bytes": b"x", "path": None}}


def test_a_column_that_is_needed_must_be_there(tmp_path: Path) -> None:
    path = save(tmp_path, {"n": [1]})
    with pytest.raises(InputError, match="no column 'p'; its columns are n") as caught:
        list(parquet_rows(path, needed=("p",)))
    assert (caught.value.code, caught.value.item) == ("data_columns", str(path))


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, arrow.table([arrow.array([1]), arrow.array([2])], names=["n", "n"]))
    with pytest.raises(InputError, match="'n' is there twice"):
        list(parquet_rows(path, needed=("n",)))


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"no parquet at all", b"PAR1" + bytes(50) + b"PAR1"]
)
def test_what_is_no_parquet_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    with pytest.raises(InputError, match="no parquet") as caught:
        list(parquet_rows(path, needed=("n",)))
    assert (caught.value.code, caught.value.item) == ("data_file", str(path))


def test_a_damaged_row_group_costs_its_rows(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        {"n": [f"{n:05d}" for n in range(30)]},
        row_group_size=10,
        compression="none",
        use_dictionary=False,
        write_page_checksum=True,
    )
    data = path.read_bytes()
    assert data.count(b"00015") == 1
    path.write_bytes(data.replace(b"00015", b"0x015"))
    rows = list(parquet_rows(path, needed=("n",)))
    assert [row.index for row in rows] == [*range(11), *range(20, 30)]
    (bad,) = [row for row in rows if row.fault is not None]
    assert (bad.index, bad.span) == (10, 10)
    assert bad.fault is not None
    assert "row group 1, rows 10 to 19" in bad.fault.message


def test_a_row_group_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, {"n": ["x", 500 * "y", "z"]}, row_group_size=1)
    monkeypatch.setattr(module, "MAX_GROUP", 400)
    rows = list(parquet_rows(path, needed=("n",)))
    assert [row.fault and row.fault.code for row in rows] == [None, "data_too_long", None]


def test_text_that_is_not_utf8_costs_its_row(tmp_path: Path) -> None:
    raw = arrow.array([b"a", b"\xff", b"c"], arrow.binary())
    text = arrow.Array.from_buffers(arrow.string(), 3, raw.buffers())
    rows = list(parquet_rows(save(tmp_path, arrow.table({"n": text})), needed=("n",)))
    assert [row.fields.get("n") for row in rows] == ["a", None, "c"]
    assert [row.fault and row.fault.code for row in rows] == [None, "data_encoding", None]


def test_a_value_that_python_has_no_type_for_costs_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With pandas its own type would take the nanoseconds.
    monkeypatch.setitem(sys.modules, "pandas", None)
    times = arrow.array([10**9, 1, None], arrow.timestamp("ns"))
    rows = list(parquet_rows(save(tmp_path, arrow.table({"n": times})), needed=("n",)))
    assert [row.fault and row.fault.code for row in rows] == [None, "data_row", None]
    assert rows[1].fault is not None
    assert "ns" in rows[1].fault.message or "anosecond" in rows[1].fault.message


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"librehps\[data\]") as caught:
        list(parquet_rows(tmp_path / "a.parquet", needed=("n",)))
    assert caught.value.code == "data_missing"
