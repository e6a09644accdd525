from __future__ import annotations

from pathlib import Path

import pytest

from librehps.data.sources.text_lines import decode_line, text_lines
from librehps.errors import InputError


def lines(folder: Path, raw: bytes, most: int = 10) -> list[tuple[int, bytes]]:
    (folder / "a.csv").write_bytes(raw)
    with (folder / "a.csv").open("rb") as file:
        return list(text_lines(file, most))


def test_lines_are_numbered_from_one_and_keep_their_ends(tmp_path: Path) -> None:
    found = lines(tmp_path, b"a\r\n\nlast")
    assert found == [(1, b"a\r\n"), (2, b"\n"), (3, b"last")]


def test_the_mark_at_the_start_is_no_part_of_the_file(tmp_path: Path) -> None:
    assert lines(tmp_path, "\ufeffa\n".encode()) == [(1, b"a\n")]


@pytest.mark.parametrize("name", ["utf-16", "utf-16-be"])
def test_wide_text_is_refused_by_its_mark(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="UTF-16") as caught:
        lines(tmp_path, b"\xfe\xff" * name.endswith("be") + "a".encode(name))
    assert (caught.value.code, caught.value.item) == ("data_encoding", str(tmp_path / "a.csv"))


@pytest.mark.parametrize("length", [10, 11, 12, 21, 22, 23, 50])
def test_a_long_line_is_cut_counted_once_and_refused(tmp_path: Path, length: int) -> None:
    found = lines(tmp_path, length * b"x" + b"\nnext\n", 11)
    assert [number for number, _ in found] == [1, 2]
    assert found[1][1] == b"next\n"
    assert len(found[0][1]) <= 12
    if length >= 11:
        with pytest.raises(InputError, match="more than 11 bytes") as caught:
            decode_line(found[0][1], 11)
        assert caught.value.code == "data_too_long"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"ab\xff", "byte 2 is 0xff"),
        (b"ab\0", "a NUL at letter 2"),
        ("\ufeffb".encode(), "begins with a byte order mark"),
        (b"\xed\xa0\x80", "not UTF-8"),
    ],
)
def test_what_is_no_plain_utf8_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        decode_line(raw, 100)
    assert caught.value.code == "data_encoding"


def test_plain_text_is_returned() -> None:
    # Inside a text the mark is a space without width.
    assert decode_line("ä\ufeff\t\u2028\r\n".encode(), 100) == "ä\ufeff\t\u2028\r\n"
