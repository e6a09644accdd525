from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from librehps.data.sources import tar_rows as module
from librehps.data.sources.protocol import Row
from librehps.data.sources.tar_rows import tar_rows
from tests.data.sources.archives import header, pack

Picture = Callable[..., bytes]


def rows(folder: Path, files: dict[str, bytes]) -> list[Row]:
    path = folder / "a.tar"
    path.write_bytes(pack(files))
    return list(tar_rows(path))


def test_the_files_of_a_name_are_one_row(tmp_path: Path, picture: Picture) -> None:
    found = rows(
        tmp_path,
        {
            "x/1.image_a.PNG": picture(1),
            "x/1.image_b.jpg": picture(2, "JPEG"),
            "x/1.json": b'{"target": 1, "deep": {"y": [1]}}',
            "x/1.prompt.txt": "a cät".encode(),
            "2.png": picture(3),
            "2.txt": b"a dog",
            "2.more.json": b"{}",
        },
    )
    assert [dict(row.fields) for row in found] == [
        {
            "key": "a.tar/x/1",
            "image_a": picture(1),
            "image_b": picture(2, "JPEG"),
            "target": 1,
            "deep": {"y": [1]},
            "prompt": "a cät",
        },
        {"key": "a.tar/2", "png": picture(3), "txt": "a dog", "more": {}},
    ]
    assert [(row.index, row.name) for row in found] == [(0, "a.tar/x/1"), (1, "a.tar/2")]


@pytest.mark.parametrize(
    ("file", "code", "message"),
    [
        ({"1.pyd": b"x"}, "data_row", "'1.pyd', of a kind that is not read"),
        ({"1.json": b"{"}, "data_syntax", "not valid JSON"),
        ({"1.json": b"\xff"}, "data_encoding", "not UTF-8"),
        ({"1.txt": b"a\0"}, "data_encoding", "NUL"),
        ({"1.json": b'{"png": 1}'}, "data_syntax", "'png' twice"),
        ({f"1.{n}.txt": b"x" for n in range(64)}, "data_too_long", "more than 64 files"),
    ],
)
def test_a_sample_with_a_bad_file_is_bad_and_the_others_are_not(
    tmp_path: Path, picture: Picture, file: dict[str, bytes], code: str, message: str
) -> None:
    found = rows(tmp_path, {"0.txt": b"a", "1.png": picture(1), **file, "2.txt": b"c"})
    assert [row.fault is None for row in found] == [True, False, True]
    assert found[1].fault is not None
    assert (found[1].fault.code, found[1].name) == (code, "a.tar/1")
    assert message in found[1].fault.message


def test_a_damaged_header_costs_the_samples_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    data = bytearray(pack({"0.txt": b"a", "1.txt": b"b", "2.txt": b"c"}))
    data[header(2)] = 512 * b"?"
    path.write_bytes(data)
    found = list(tar_rows(path))
    assert [(row.name, row.fault is None) for row in found] == [
        ("a.tar/0", False),
        ("a.tar/2", True),
    ]


def test_a_sample_of_too_many_bytes_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: Picture
) -> None:
    monkeypatch.setattr(module, "MAX_SAMPLE", len(picture(1)) + 1)
    found = rows(tmp_path, {"1.a.png": picture(1), "1.b.png": picture(2), "2.png": picture(3)})
    assert [row.fault and row.fault.code for row in found] == ["data_too_long", None]
