from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from librehps.data.sources import json_rows as module
from librehps.data.sources.json_rows import json_rows, parse_object
from librehps.data.sources.protocol import Row
from librehps.errors import InputError

ROWS = [{"n": n, "text": 'a "]},[{" b\n', "deep": [{"x": [n]}, {"y": None}]} for n in range(6)]


def save(folder: Path, written: str | bytes) -> Path:
    path = folder / "a.json"
    path.write_bytes(written if isinstance(written, bytes) else written.encode())
    return path


def brief(rows: list[Row]) -> list[Any]:
    return [
        (row.index, row.line, row.fields.get("n", row.fault and row.fault.code)) for row in rows
    ]


@pytest.mark.parametrize("indent", [None, 0, 2])
def test_a_list_comes_element_by_element(tmp_path: Path, indent: int | None) -> None:
    rows = list(json_rows(save(tmp_path, json.dumps(ROWS, indent=indent))))
    assert [dict(row.fields) for row in rows] == ROWS
    assert [row.index for row in rows] == list(range(6))
    assert (rows[0].file, rows[0].name) == ("a.json", "a.json#0")


@pytest.mark.parametrize("text", ["[]", " [ \r\n ] \n", "", "\n", "\ufeff[]"])
def test_nothing_is_no_row(tmp_path: Path, text: str) -> None:
    assert list(json_rows(save(tmp_path, text))) == []


def test_lines_come_one_by_one(tmp_path: Path) -> None:
    text = "\ufeff" + "\r\n\r\n".join(json.dumps(row) for row in ROWS)
    rows = list(json_rows(save(tmp_path, text)))
    assert [dict(row.fields) for row in rows] == ROWS
    assert [row.line for row in rows] == [1, 3, 5, 7, 9, 11]


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 11, 64])
def test_brackets_inside_a_text_are_none_also_where_a_chunk_ends(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", chunk)
    rows = list(json_rows(save(tmp_path, json.dumps(ROWS))))
    assert [dict(row.fields) for row in rows] == ROWS


value = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=3), value, max_size=4
        ),
        max_size=5,
    ),
    indent=st.sampled_from([None, 1]),
    ascii=st.booleans(),
    chunk=st.integers(3, 40),
)
def test_what_is_written_is_read_wherever_the_chunks_end(
    tmp_path: Path, rows: list[dict[str, Any]], indent: int | None, ascii: bool, chunk: int
) -> None:
    path = save(tmp_path, json.dumps(rows, indent=indent, ensure_ascii=ascii))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", chunk)
        found = list(json_rows(path))
    assert [row.fault for row in found] == [None] * len(rows)
    assert [dict(row.fields) for row in found] == rows


DAMAGE = {
    "a word": ('{"n": nope}', "data_syntax"),
    "a bare word": ("nope", "data_syntax"),
    "no object": ("12", "data_row"),
    "a list": ('["a", [1]]', "data_row"),
    "a name twice": ('{"a": 1, "a": 2}', "data_syntax"),
    "a name twice inside": ('{"a": [{"b": 1, "b": 2}]}', "data_syntax"),
    "NaN": ('{"a": NaN}', "data_syntax"),
    "infinity": ('{"a": -Infinity}', "data_syntax"),
    "a huge number": ('{"a": ' + 5000 * "1" + "}", "data_syntax"),
    "a raw newline": ('{"a": "x\ny"}', "data_syntax"),
    "a raw NUL": ('{"a": "x\0y"}', "data_syntax"),
    "a comma too many": ('{"a": 1,}', "data_syntax"),
    "a bracket missing": ('{"a": [1}', "data_syntax"),
    "the end missing": ('{"a": 1', "data_syntax"),
    "a quote missing": ('{"a": "x, "b": 1}', "data_syntax"),
    "depth": (100_000 * "[" + 100_000 * "]", "data_syntax"),
    "an empty place": ("", "data_syntax"),
}


@pytest.mark.parametrize("indent", [None, 2], ids=["one line", "many lines"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_element_is_told_and_does_not_stop_the_rest(
    tmp_path: Path, damage: str, indent: int | None
) -> None:
    bad, code = DAMAGE[damage]
    pieces = [json.dumps(row, indent=indent) for row in ROWS[:2] + ROWS[3:]]
    text = "[\n" + ",\n".join([*pieces[:2], bad, *pieces[2:]]) + "\n]\n"
    rows = list(json_rows(save(tmp_path, text)))
    faults = [row for row in rows if row.fault is not None]
    assert [row.fields["n"] for row in rows if row.fault is None] == [0, 1, 3, 4, 5]
    assert {row.fault.code for row in faults if row.fault} == {code}
    line = 2 + sum(piece.count("\n") + 1 for piece in pieces[:2])
    assert (faults[0].index, faults[0].line) == (2, line)


def test_bytes_that_are_not_utf8_cost_their_row(tmp_path: Path) -> None:
    text = json.dumps([{"n": 0}, {"n": 1, "t": "ABC"}, {"n": 2}]).encode()
    rows = list(json_rows(save(tmp_path, text.replace(b"ABC", b"\xff\xfe"))))
    assert brief(rows) == [(0, 1, 0), (1, 1, "data_encoding"), (2, 1, 2)]


def test_a_row_without_an_end_in_sight_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ROW", 500)
    monkeypatch.setattr(module, "_CHUNK", 64)
    long = {"n": 1, "text": 3000 * "x"}
    text = json.dumps([{"n": 0}, long, {"n": 2}, {"n": 3}])
    assert brief(list(json_rows(save(tmp_path, text)))) == [
        (0, 1, 0),
        (1, 1, "data_syntax"),
        (2, 1, 2),
        (3, 1, 3),
    ]


@pytest.mark.parametrize("cut", [1, 2, 10, 60, 61, 100])
def test_a_list_that_is_cut_short_is_an_error_however_many_rows_are_sound(
    tmp_path: Path, cut: int
) -> None:
    text = json.dumps([{"n": n, "t": "ab"} for n in range(5)])
    found: list[Row] = []
    with pytest.raises(InputError, match="cut short") as caught:
        found.extend(json_rows(save(tmp_path, text[:-cut])))
    assert caught.value.code == "data_truncated"


def test_a_comma_missing_between_rows_is_told(tmp_path: Path) -> None:
    text = '[{"n": 0}\n{"n": 1},\n{"n": 2}]'
    assert brief(list(json_rows(save(tmp_path, text)))) == [
        (0, 1, 0),
        (1, 2, "data_syntax"),
        (2, 3, 2),
    ]


def test_bad_lines_are_told_and_do_not_stop_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ROW", 200)
    lines = [
        b'{"n": 0}',
        b"{",
        b'{"t": "\xff"}',
        b'{"t": "' + 300 * b"x" + b'"}',
        b"[1]",
        b'{"n": 5}',
    ]
    assert brief(list(json_rows(save(tmp_path, b"\n".join(lines))))) == [
        (0, 1, 0),
        (1, 2, "data_syntax"),
        (2, 3, "data_encoding"),
        (3, 4, "data_too_long"),
        (4, 5, "data_row"),
        (5, 6, 5),
    ]


def test_an_object_is_parsed_strictly() -> None:
    assert parse_object('{"a": "ä"}') == {"a": "ä"}
    with pytest.raises(InputError, match="the name 'a' stands twice"):
        parse_object('{"a": 1, "a": 1}')
