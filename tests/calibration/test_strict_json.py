"""Files that nobody vouches for: bounded, plain, and without leniency."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from librehps.calibration.strict_json import MAX_BYTES, read_strict_json
from librehps.errors import CheckpointError


def refused(path: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        read_strict_json(path)
    assert caught.value.item == str(path)
    return caught.value


def test_an_object_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text('{"a": [1, 2.5, "é", null, {"b": true}]}', encoding="utf-8")
    assert read_strict_json(path) == {"a": [1, 2.5, "é", None, {"b": True}]}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not valid JSON"),
        (b'{"a": 1', "not valid JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not valid JSON"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (b'{"x": {"a": 1, "a": 2}}', "the key 'a' stands twice"),
        (b'{"a": NaN}', "NaN is not a number of JSON"),
        (b'{"a": -Infinity}', "-Infinity is not a number of JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"[1, 2]", "holds a JSON list"),
        (b"null", "holds a JSON NoneType"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'{"a":' * 100_000, "not valid JSON"),
    ],
    ids=range(13),
)
def test_anything_else_is_refused(tmp_path: Path, raw: bytes, words: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(raw)
    error = refused(path)
    assert words in error.message
    assert error.code == "calibration_file"
    assert len(error.message) < 400


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    error = refused(tmp_path / "none.json")
    assert error.code == "calibration_missing"
    assert "fit a calibration" in error.message


def test_a_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    with path.open("wb") as file:
        # A hole: as long as a petabyte for whoever reads it, and nothing on the disk.
        file.truncate(MAX_BYTES * 1000)
    error = refused(path)
    assert error.code == "calibration_file"
    assert str(MAX_BYTES) in error.message


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert refused(path).code == "calibration_file"
    assert refused(tmp_path).message == "is not a plain file"
    assert refused(Path("/dev/zero")).message == "is not a plain file"


def test_a_path_through_a_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{}", encoding="utf-8")
    assert refused(tmp_path / "file" / "calibration.json").code == "calibration_file"
