"""Lines of a text file, bounded before they take memory."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import IO

from librehps.errors import InputError

__all__ = ["decode_line", "text_lines"]

_BOM = "\ufeff"
_WIDE_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def text_lines(file: IO[bytes], most: int) -> Iterator[tuple[int, bytes]]:
    """Go through the lines of a file with their numbers, from 1.

    Of a line with more than ``most`` bytes only the first ``most + 1`` are handed on, for
    `decode_line` to refuse; the rest is passed over. A byte order mark at the start of the file is
    no part of it, and lines end in LF or CRLF.

    Raises:
        InputError: The file is UTF-16 (code ``data_encoding``).
    """
    number = 0
    while raw := file.readline(most + 1):
        number += 1
        if number == 1:
            if raw.startswith(_WIDE_BOMS):
                raise InputError(
                    "is UTF-16; save it as UTF-8", code="data_encoding", item=str(file.name)
                )
            raw = raw.removeprefix(codecs.BOM_UTF8)
        whole = raw
        while not raw.endswith(b"\n") and len(raw) > most and (raw := file.readline(most + 1)):
            pass
        yield number, whole


def decode_line(raw: bytes, most: int) -> str:
    """Return a line as text.

    Raises:
        InputError: It has more than ``most`` bytes (code ``data_too_long``); or it is not UTF-8, or
            holds a NUL or begins with a byte order mark (``data_encoding``).
    """
    if len(raw) > most:
        raise InputError(
            f"has more than {most:,} bytes, the most that are read", code="data_too_long"
        )
    try:
        written = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"is not UTF-8 (byte {error.start} is 0x{raw[error.start]:02x})", code="data_encoding"
        ) from error
    if "\0" in written:
        raise InputError(f"holds a NUL at letter {written.index(chr(0))}", code="data_encoding")
    # Inside a text it is a letter of its own, the zero-width no-break space.
    if written.startswith(_BOM):
        raise InputError(
            "begins with a byte order mark: a file was put behind another", code="data_encoding"
        )
    return written
