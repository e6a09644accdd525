"""Samples of a WebDataset shard: the files of a tar archive that share a name, one sample a row.

``0001.image_a.png``, ``0001.image_b.jpg`` and ``0001.json`` make one row. An image is the field
``image_a``, or ``png`` where nothing stands between the name and the ending; a text file is a
field in the same way; the names in the JSON object are fields themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from librehps.data.sources.json_rows import parse_object
from librehps.data.sources.protocol import Row
from librehps.data.sources.tar_members import Member, tar_members
from librehps.data.sources.text_lines import decode_line
from librehps.errors import InputError
from librehps.inputs.limits import MAX_BYTES

__all__ = ["tar_rows"]

_MAX_TEXT = 2**20
#: Files of one sample, and bytes of them together.
MAX_FILES = 64
MAX_SAMPLE = 4 * MAX_BYTES
_IMAGES = ("jpg", "jpeg", "png", "webp", "avif", "gif", "bmp", "tif", "tiff")
_TEXTS = ("txt", "text", "cls")


def tar_rows(file: Path) -> Iterator[Row]:
    """Go through a shard; the files of a sample stand side by side in it.

    A sample of which one file cannot be read is a row with a fault. So is one whose files are of
    kinds that are not known here; Python's own, such as ``.pyd`` and ``.npy``, are not read.

    Raises:
        InputError: See `librehps.data.sources.tar_members.tar_members`.
    """
    index, sample = 0, _Sample("")
    for member in tar_members(file, most=MAX_BYTES):
        key, field = _split(member.name)
        if member.fault is not None and not member.name:
            # A damaged header may have been of this sample or of another one.
            key = sample.key or key
        if key != sample.key:
            if sample.files:
                yield sample.row(file.name, index)
                index += 1
            sample = _Sample(key)
        sample.add(member, field)
    if sample.files:
        yield sample.row(file.name, index)


class _Sample:
    """The files of one name, as far as they have come."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.files = 0
        self._size = 0
        self._fields: dict[str, Any] = {}
        self._fault: InputError | None = None

    def add(self, member: Member, field: str) -> None:
        """Take in one more file, or note why it cannot be."""
        self.files += 1
        self._size += len(member.data)
        try:
            if member.fault is not None:
                raise member.fault
            if self.files > MAX_FILES or self._size > MAX_SAMPLE:
                raise InputError(
                    f"has more than {MAX_FILES} files or {MAX_SAMPLE:,} bytes", code="data_too_long"
                )
            for name, value in _fields(member, field).items():
                if name in self._fields:
                    raise InputError(f"has {name!r:.100} twice", code="data_syntax")
                self._fields[name] = value
        except InputError as error:
            self._fields = {}
            self._fault = self._fault or error

    def row(self, name: str, index: int) -> Row:
        """Return what the files came to."""
        # Shards number their samples anew.
        key = f"{name}/{self.key}"
        if self._fault is not None:
            return Row(name, index, fault=self._fault, key=key)
        return Row(name, index, fields={"key": key} | self._fields, key=key)


def _split(name: str) -> tuple[str, str]:
    """Return what the files of a sample share, and how this one goes on."""
    path = PurePosixPath(name)
    stem, _, field = path.name.partition(".")
    return str(path.parent / stem), field


def _fields(member: Member, field: str) -> dict[str, Any]:
    kept, _, ending = field.rpartition(".")
    kind = ending.lower()
    if kind in _IMAGES:
        return {kept or kind: member.data}
    if kind == "json":
        written = parse_object(decode_line(member.data, _MAX_TEXT))
        return {kept: written} if kept else written
    if kind in _TEXTS:
        return {kept or kind: decode_line(member.data, _MAX_TEXT)}
    raise InputError(
        f"has the file {member.name[:100]!r}, of a kind that is not read; the kinds are "
        f"{', '.join((*_IMAGES, 'json', *_TEXTS))}",
        code="data_row",
    )
