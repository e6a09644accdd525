"""The files in a tar archive, one at a time, without unpacking anything.

The standard library's reader takes a damaged header for the end of the archive, so that half a
shard looks like a small one; and what a header announces as a long name it reads into memory
whatever its size. Here a damaged header is a member with a fault, the next sound one is looked for,
and everything has a bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from librehps.data.sources.files import open_file
from librehps.errors import InputError

__all__ = ["Member", "tar_members"]

_BLOCK = 512
# Names in headers of their own: a path has 4096 bytes at most.
_MAX_HEADER = 2**16
_PAX_RECORD = re.compile(rb"(\d{1,6}) ([^=\n]+)=")
_PLAIN = (b"0", b"\0", b"7")
# A folder, and headers that say nothing that is needed here.
_NO_FILES = (b"5", b"g", b"K")
# Links and devices, whatever size they give.
_NO_DATA = (b"1", b"2", b"3", b"4", b"6")
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZ": "bzip2",
    b"\xfd7": "xz",
    b"\x28\xb5": "zstandard",
}


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Args:
        name: Its name, for telling files apart; nothing is ever written under it.
        data: What it holds; empty where there is a fault.
        fault: Why it could not be read.
    """

    name: str
    data: bytes = b""
    fault: InputError | None = None


def tar_members(file: Path, *, most: int) -> Iterator[Member]:
    """Go through the files of an archive (POSIX ustar or pax, or GNU tar).

    What is neither a folder nor a plain file, such as a link, is a member with a fault.

    Args:
        file: The archive, not compressed.
        most: Bytes that a file may have; one that has more is a member with a fault.

    Raises:
        InputError: It cannot be read, is no archive or compressed (code ``data_file``), or it is
            cut short (``data_truncated``).
    """
    with open_file(file) as opened:
        yield from _Archive(opened, file, most).members()


class _Archive:
    def __init__(self, file: IO[bytes], path: Path, most: int) -> None:
        self._file = file
        self._path = path
        self._most = most
        self._size = path.stat().st_size

    def members(self) -> Iterator[Member]:
        """Go through the members; see `tar_members`."""
        name, size = None, None
        for place, block in self._headers():
            if block is None:
                name, size = None, None
                yield Member("", fault=self._damage(place))
                continue
            kind, length = block[156:157], _number(block[124:136])
            if kind in (b"x", b"L"):
                if length > _MAX_HEADER:
                    self._pass(length)
                    yield Member("", fault=_fault(f"a name of {length:,} bytes at byte {place}"))
                    continue
                extra = self._read(length)
                name, size = (extra.rstrip(b"\0"), size) if kind == b"L" else _pax(extra, name)
                continue
            called = (name or _name(block)).decode("utf-8", "replace")
            length = length if size is None else size
            name, size = None, None
            if kind in _NO_FILES:
                self._pass(length)
            else:
                yield self._member(called, kind, length)

    def _headers(self) -> Iterator[tuple[int, bytes | None]]:
        """Go through the headers and their places; None is one that is no header."""
        ended = False
        while True:
            place = self._file.tell()
            block = self._file.read(_BLOCK)
            if ended and not block:
                return
            if len(block) < _BLOCK:
                raise self._truncated(place)
            if not any(block):
                ended = True
                continue
            if ended:
                # Two archives in one file, or a stretch that was overwritten with zeros.
                self._file.seek(place)
                ended = False
                yield place, None
            else:
                yield place, block if _sound(block) else None

    def _member(self, called: str, kind: bytes, length: int) -> Member:
        if kind not in _PLAIN:
            self._pass(0 if kind in _NO_DATA else length)
            return Member(called, fault=_fault(f"{called[:100]!r}, a link or no plain file"))
        if length > self._most:
            self._pass(length)
            what = f"{called[:100]!r} has {length:,} bytes; at most {self._most:,} are read"
            return Member(called, fault=InputError(what, code="data_too_long"))
        return Member(called, self._read(length))

    def _read(self, length: int) -> bytes:
        place = self._file.tell()
        data = self._file.read(length)
        if len(data) < length:
            raise self._truncated(place)
        self._file.seek(-length % _BLOCK, 1)
        return data

    def _pass(self, length: int) -> None:
        place = self._file.tell()
        if place + length > self._size:
            raise self._truncated(place)
        self._file.seek(length + -length % _BLOCK, 1)

    def _damage(self, place: int) -> InputError:
        """Go to the next header behind a place that has none, and say what is wrong there."""
        if place == 0:
            self._file.seek(0)
            start = self._file.read(2)
            kind = _COMPRESSED.get(start)
            what = "is no tar archive" if kind is None else f"is {kind}: unpack it first"
            raise InputError(what, code="data_file", item=str(self._path))
        while len(block := self._file.read(_BLOCK)) == _BLOCK:
            if _sound(block):
                self._file.seek(-_BLOCK, 1)
                break
        else:
            # Back to where the zeros are that a whole archive ends in.
            self._file.seek(max(place + _BLOCK, self._size - 2 * _BLOCK))
        return _fault(f"no header where one must be, at byte {place}")

    def _truncated(self, place: int) -> InputError:
        return InputError(
            f"is cut short: what begins at byte {place} does not end; fetch it again",
            code="data_truncated",
            item=str(self._path),
        )


def _fault(what: str) -> InputError:
    return InputError(f"the archive has {what}", code="data_syntax")


def _sound(block: bytes) -> bool:
    """Return whether a block is a header: its checksum counts its own field as spaces."""
    try:
        stored = _number(block[148:156])
    except ValueError:
        return False
    return sum(block) - sum(block[148:156]) + 8 * 32 == stored and _sizes(block)


def _sizes(block: bytes) -> bool:
    try:
        return _number(block[124:136]) >= 0
    except ValueError:
        return False


def _number(field: bytes) -> int:
    """Return an octal number, or one in base 256 as GNU tar writes what is too large for that."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    return int(digits, 8) if digits else 0


def _name(block: bytes) -> bytes:
    name, prefix = (part.split(b"\0", 1)[0] for part in (block[:100], block[345:500]))
    return prefix + b"/" + name if block[257:263] == b"ustar\0" and prefix else name


def _pax(extra: bytes, name: bytes | None) -> tuple[bytes | None, int | None]:
    """Return the name and the size that a pax header gives the next file."""
    size, place = None, 0
    while found := _PAX_RECORD.match(extra, place):
        end = place + int(found[1])
        value = extra[found.end() : end - 1]
        if found[2] == b"path":
            name = value
        elif found[2] == b"size" and value.isdigit():
            size = int(value[:20])
        if end <= place:
            break
        place = end
    return name, size
