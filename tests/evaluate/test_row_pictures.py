"""Pictures inside rows: found again in order, held a few at a time, and missed when they go."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from librehps.data.records import Comparison
from librehps.data.sources import ImageFiles, Reading, Row, make_source
from librehps.errors import InputError
from librehps.evaluate.row_pictures import PREFIX, RowPictures
from tests.evaluate.suite_samples import png, save_parquet


@dataclass
class Counted:
    """A source that counts the rows that are asked of it."""

    inner: Any = field(default_factory=lambda: make_source("parquet"))
    rows_read: int = 0

    @property
    def suffixes(self) -> tuple[str, ...]:
        return (".parquet",)

    @property
    def ties(self) -> str:
        return "none"

    def rows(self, file: Path) -> Iterator[Row]:
        for row in self.inner.rows(file):
            self.rows_read += 1
            yield row

    def records(self, row: Row, images: ImageFiles) -> Any:
        return self.inner.records(row, images)


def save(path: Path, *colours: tuple[int, int], **change: Any) -> Path:
    rows = [
        {"prompt": "p", "image_a": png(a), "image_b": png(b), "target": 1.0} | change
        for a, b in colours
    ]
    return save_parquet(path, rows)


def opened(source: Counted, *files: Path, root: Path) -> tuple[RowPictures, list[Path]]:
    """Return the pictures, and their names in the order of the records."""
    pictures = RowPictures(source, files, root)
    reading = Reading(source, files, pictures.reader, max_bad_share=1.0)
    pairs = [one for one in reading if isinstance(one, Comparison)]
    return pictures, [image for pair in pairs for image in (pair.image_a, pair.image_b)]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_picture_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = save(tmp_path / "a.parquet", (1, 2), (3, 1))
    pictures, names = opened(Counted(), path, root=tmp_path)
    assert [name.relative_to(tmp_path).as_posix() for name in names] == [
        f"{PREFIX}{sha256(png(grey))}.png" for grey in (1, 2, 3, 1)
    ]
    assert names[0] == names[3]
    assert [pictures.digest(name) for name in names] == [sha256(png(n)) for n in (1, 2, 3, 1)]
    assert pictures.sources(names) == [png(n) for n in (1, 2, 3, 1)]
    assert [one.name for one in tmp_path.iterdir()] == ["a.parquet"]


def test_one_pass_serves_all_that_is_asked_in_order(tmp_path: Path) -> None:
    first = save(tmp_path / "a.parquet", *((2 * n, 2 * n + 1) for n in range(10)))
    second = save(tmp_path / "b.parquet", *((2 * n, 2 * n + 1) for n in range(10, 20)))
    source = Counted()
    pictures, names = opened(source, first, second, root=tmp_path)
    source.rows_read = 0
    # Three at a time, so that a row is needed by two calls.
    for start in range(0, len(names), 3):
        part = names[start : start + 3]
        assert pictures.sources(part) == [png(n) for n in range(start, start + len(part))]
    assert source.rows_read == 20
    # What lies behind costs another pass, and only as far as it stands.
    assert pictures.sources([names[4], names[1]]) == [png(4), png(1)]
    assert source.rows_read == 20 + 3


def test_nothing_is_read_where_nothing_is_asked(tmp_path: Path) -> None:
    source = Counted()
    pictures, _ = opened(source, save(tmp_path / "a.parquet", (1, 2)), root=tmp_path)
    source.rows_read = 0
    (tmp_path / "own.png").write_bytes(png(9))
    assert pictures.sources([tmp_path / "own.png"]) == [tmp_path / "own.png"]
    assert pictures.digest(tmp_path / "own.png") == sha256(png(9))
    with pytest.raises(InputError):
        pictures.digest(tmp_path / f"{PREFIX}{'0' * 64}.png")
    assert source.rows_read == 0


def test_bad_rows_are_passed_over_again(tmp_path: Path) -> None:
    rows = [
        {"prompt": "p", "image_a": png(n), "image_b": png(n + 1), "target": 2.0 if n == 2 else 1.0}
        for n in (0, 2, 4)
    ]
    path = save_parquet(tmp_path / "a.parquet", rows)
    pictures, names = opened(Counted(), path, root=tmp_path)
    assert pictures.sources(names) == [png(n) for n in (0, 1, 4, 5)]


def test_what_is_gone_is_told_one_by_one(tmp_path: Path) -> None:
    path = save(tmp_path / "a.parquet", (1, 2), (3, 4))
    pictures, names = opened(Counted(), path, root=tmp_path)
    save(path, (1, 2), (3, 5))
    found = pictures.sources(names)
    assert found[:3] == [png(1), png(2), png(3)]
    assert isinstance(found[3], InputError)
    assert found[3].code == "image_changed"
    path.unlink()
    assert all(isinstance(one, InputError) for one in pictures.sources(names))


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    # Noise does not compress: 100 kB each, and they stand in page after page.
    from random import Random

    def noise(n: int) -> bytes:
        return png(n) + Random(n).randbytes(100_000)

    def peak(count: int) -> int:
        rows = [
            {"prompt": "p", "image_a": noise(2 * n), "image_b": noise(2 * n + 1), "target": 1.0}
            for n in range(count)
        ]
        path = save_parquet(tmp_path / "a.parquet", rows, group=2)
        del rows
        tracemalloc.start()
        pictures, names = opened(Counted(), path, root=tmp_path)
        for start in range(0, len(names), 4):
            assert all(isinstance(one, bytes) for one in pictures.sources(names[start : start + 4]))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(4)
    small, large = peak(8), peak(40)
    assert large < small + 300_000
