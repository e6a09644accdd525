from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from librehps.data.sources import csv_rows as module
from librehps.data.sources.csv_rows import csv_rows
from librehps.errors import InputError


def save(folder: Path, written: str | bytes) -> Path:
    path = folder / "a.csv"
    path.write_bytes(written if isinstance(written, bytes) else written.encode())
    return path


def brief(path: Path) -> list[Any]:
    return [
        (row.index, row.line, list(row.fields.values()) if row.fault is None else row.fault.code)
        for row in csv_rows(path, needed=("n",))
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_rows_may_have_lines_and_ends_of_lines_of_either_kind(
    tmp_path: Path, end: str, mark: str
) -> None:
    text = mark + end.join(["n,t", '0,"a ""b"""', '1,"x,', 'y"', "", "2,", "3,\u2028z"])
    assert brief(save(tmp_path, text)) == [
        (0, 2, ["0", 'a "b"']),
        (1, 3, ["1", f"x,{end}y"]),
        (2, 6, ["2", None]),
        (3, 7, ["3", "\u2028z"]),
    ]


cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=6)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.tuples(cell.filter(bool), cell, cell), max_size=5),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_is_read(tmp_path: Path, rows: list[tuple[str, ...]], end: str) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("n", "t", "u"), *rows])
    found = list(csv_rows(save(tmp_path, buffer.getvalue()), needed=("n",)))
    assert [row.fault for row in found] == [None] * len(rows)
    assert [tuple(row.fields[name] or "" for name in ("n", "t", "u")) for row in found] == rows


DAMAGE = {
    "a field too few": ("2", "data_syntax"),
    "a field too many": ("2,b,c", "data_syntax"),
    "a quote that is not closed": ('2,"b', "data_syntax"),
    "a letter behind a quote": ('2,"b"c', "data_syntax"),
    "a NUL": ("2,b\0", "data_encoding"),
    "a mark": ("\ufeff2,b", "data_encoding"),
    "a bare carriage return": ("2,b\rx", "data_syntax"),
    "a long field": ("2," + 400 * "x", "data_too_long"),
    "a long row": ("2," + 1200 * "x", "data_too_long"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_row_is_told_and_does_not_stop_the_rest(
    tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FIELD", 300)
    monkeypatch.setattr(module, "MAX_ROW", 1000)
    bad, code = DAMAGE[damage]
    found = brief(save(tmp_path, f"n,t\n0,a\n1,a\n{bad}\n3,a\n4,a\n"))
    assert found == [
        (0, 2, ["0", "a"]),
        (1, 3, ["1", "a"]),
        (2, 4, code),
        (3, 5, ["3", "a"]),
        (4, 6, ["4", "a"]),
    ]


def test_bytes_that_are_not_utf8_cost_their_row(tmp_path: Path) -> None:
    found = brief(save(tmp_path, b"n,t\n0,a\n1,\xe4\n2,a\n"))
    assert [one for _, _, one in found] == [["0", "a"], "data_encoding", ["2", "a"]]


def test_two_quotes_that_are_not_closed_cost_their_rows_only(tmp_path: Path) -> None:
    found = brief(save(tmp_path, 'n,t\n0,a\n1,"b\n2,c\n3,"d\n4,e\n'))
    assert [one for _, _, one in found] == [
        ["0", "a"],
        "data_syntax",
        ["2", "c"],
        "data_syntax",
        ["4", "e"],
    ]


def test_a_quote_that_is_not_closed_does_not_take_the_whole_file_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_LINES", 3)
    rows = [f"{n},a" for n in range(100)]
    rows[10] = '10,"a'
    found = brief(save(tmp_path, "n,t\n" + "\n".join(rows)))
    assert len(found) == 100
    assert found[10] == (10, 12, "data_syntax")
    assert sum(isinstance(one, list) for _, _, one in found) == 99


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'n'; its columns are none"),
        ("a,b\n", "no column 'n'; its columns are a, b"),
        ("n,t,t\n", "'t' is there twice"),
        ('n,"t\n', "a quote is not closed"),
        (",".join(["n", *(f"c{c}" for c in range(1000))]), "1001 columns"),
        (b"n,\xff\n", "not UTF-8"),
        ("n,t".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_row_of_names_that_makes_no_sense_is_an_error_of_the_file(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    path = save(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        list(csv_rows(path, needed=("n",)))
    assert caught.value.item == str(path)
