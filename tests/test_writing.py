from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from librehps.errors import InputError
from librehps.writing import into, write_bytes, write_lines


def test_a_file_appears_whole_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    write_lines(path, ["ä\n", "b\n"])
    assert path.read_bytes() == "ä\nb\n".encode()
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_lines(path, ["old\n"])

    def lines() -> Iterator[str]:
        yield "new\n"
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="full"):
        write_lines(path, lines())
    assert path.read_text() == "old\n"
    assert [file.name for file in tmp_path.iterdir()] == ["rows.jsonl"]


def test_the_bytes_are_on_the_disk_before_they_have_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "rows.jsonl", list[tuple[bool, int]]()

    def look(handle: int) -> None:
        seen.append((path.exists(), os.fstat(handle).st_size))

    monkeypatch.setattr("os.fsync", look)
    write_lines(path, ["abc\n"])
    assert seen == [(False, 4)]


def test_bytes_appear_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "a.png"
    write_bytes(path, b"\r\n\x00")
    assert path.read_bytes() == b"\r\n\x00"
    assert path.stat().st_mode & 0o777 == 0o644

    def fail(handle: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="full"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"\r\n\x00"
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


def test_what_cannot_be_written_is_an_error_that_names_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written") as caught, into(tmp_path / "file"):
        write_lines(tmp_path / "file" / "below", ["abc\n"])
    assert (caught.value.code, caught.value.item) == ("out_unwritable", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="other"), into(tmp_path):
        raise ValueError("other")
