from __future__ import annotations

import os
from pathlib import Path

import pytest

from librehps.data.sources.files import find_files, open_file
from librehps.errors import InputError


def test_a_file_stands_for_itself_and_a_folder_for_its_files(tmp_path: Path) -> None:
    for name in ("b.CSV", "a.csv", "c.txt", "._a.csv"):
        (tmp_path / name).touch()
    (tmp_path / "d.csv").mkdir()
    assert find_files(tmp_path / "c.txt", (".csv",)) == (tmp_path / "c.txt",)
    assert find_files(tmp_path, (".csv",)) == (tmp_path / "a.csv", tmp_path / "b.CSV")


def test_a_folder_without_such_files_and_nothing_at_all_are_errors(tmp_path: Path) -> None:
    for path, message in ((tmp_path, "ends in .csv or .tsv"), (tmp_path / "x", "no such file")):
        with pytest.raises(InputError, match=message) as caught:
            find_files(path, (".csv", ".tsv"))
        assert (caught.value.code, caught.value.item) == ("data_file", str(path))


def test_only_plain_files_are_opened(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with open_file(tmp_path / "a") as file:
        assert file.read() == b"abc"
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "none", "."):
        with pytest.raises(InputError) as caught:
            open_file(tmp_path / name)
        assert caught.value.code == "data_file"
