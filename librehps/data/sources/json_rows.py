"""Rows of a JSON file, one at a time: a list of objects, or an object a line.

The published lists have a million rows and more, so a list is cut into its elements here and each
is parsed by itself. A general streaming parser would do as much for a sound file; but it stops
for good at the first thing that is no JSON, does not say in which line it stands, and lets the
later of two equal names win.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from librehps.data.sources.files import open_file
from librehps.data.sources.protocol import Row
from librehps.data.sources.text_lines import decode_line, text_lines
from librehps.errors import InputError

__all__ = ["json_rows"]

#: Letters of one row; a published row has some hundreds.
MAX_ROW = 2**20
_CHUNK = 2**18
_SPACE = re.compile(r"[ \t\r\n]*")
# A text that ends in its line or is cut by the end of the window, or a bracket.
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*(?:"|(?P<cut>\\?\Z))|[\[\]{}]')
_SCALAR = re.compile(r"[^,\]\n]*")
_NEXT_OBJECT = re.compile(r",[ \t\r\n]*(?=\{)")
_ESCAPED = re.compile("[\udc80-\udcff]")


class _Refused(ValueError):
    """Valid for a lenient parser, and refused here."""


def json_rows(file: Path) -> Iterator[Row]:
    """Go through a JSON file, told by its first letter: ``[`` is a list, all else is lines.

    An element that is no JSON, no object, not UTF-8, longer than a mebibyte, or that has one name
    twice is a row with a fault, and the next one is looked for behind it.

    Raises:
        InputError: The file cannot be read (code ``data_file``), or a list does not end
            (``data_truncated``).
    """
    with open_file(file) as opened:
        start = opened.read(len(codecs.BOM_UTF8))
        opened.seek(0 if start != codecs.BOM_UTF8 else len(start))
        first = _first_letter(opened)
        if first != b"[":
            yield from _lines(opened, file.name)
        else:
            yield from _elements(_Window(opened, file), file.name)


def parse_object(written: str) -> dict[str, Any]:
    """Parse one JSON object; a name that stands twice, NaN and infinity are refused.

    Raises:
        InputError: It is no JSON (code ``data_syntax``), not UTF-8 (``data_encoding``), or JSON but
            no object (``data_row``).
    """
    if not written.isascii() and _ESCAPED.search(written):
        raise InputError("is not UTF-8", code="data_encoding")
    try:
        value = _DECODER.decode(written)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not valid JSON ({str(error)[:200]})", code="data_syntax") from error
    return _object(value)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"is a JSON {type(value).__name__}, not an object", code="data_row")
    return cast("dict[str, Any]", value)


def _first_letter(file: IO[bytes]) -> bytes:
    """Return the first letter that is no space, and go back to before it."""
    place = file.tell()
    while chunk := file.read(_CHUNK):
        if stripped := chunk.lstrip(b" \t\r\n"):
            file.seek(place)
            return stripped[:1]
    file.seek(place)
    return b""


def _lines(file: IO[bytes], name: str) -> Iterator[Row]:
    index = 0
    for line, raw in text_lines(file, MAX_ROW):
        if raw.strip() == b"":
            continue
        try:
            written = decode_line(raw, MAX_ROW)
            yield Row(name, index, line, parse_object(written))
        except InputError as error:
            yield Row(name, index, line, fault=error)
        index += 1


class _Window:
    """A stretch of a file's text that moves on; what is not UTF-8 is in it as half surrogates."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.path = path
        self.text = ""
        self.at = 0
        self.line = 1
        self.ended = False

    def more(self) -> bool:
        """Take in the next chunk; return whether there was one."""
        if self.ended:
            return False
        chunk = self._file.read(_CHUNK)
        self.ended = not chunk
        self.text = self.text[self.at :] + self._decoder.decode(chunk, final=self.ended)
        self.at = 0
        return True

    def move(self, to: int) -> None:
        """Be done with what lies before a place."""
        self.line += self.text.count("\n", self.at, to)
        self.at = to

    def next(self) -> str:
        """Return the next letter that is no space, having moved to it; nothing at the end."""
        while True:
            end = cast("re.Match[str]", _SPACE.match(self.text, self.at)).end()
            self.move(end)
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def truncated(self, line: int) -> InputError:
        """Return the error for a list without an end."""
        return InputError(
            f"the list of rows does not end where the file ends, and nothing can be read from line "
            f"{line} on: the file is cut short or damaged; fetch it again",
            code="data_truncated",
            item=str(self.path),
        )


def _elements(window: _Window, name: str) -> Iterator[Row]:
    window.next()
    window.move(window.at + 1)
    if window.next() == "]" and _ends(window):
        return
    index = 0
    while True:
        letter, line = window.next(), window.line
        if not letter:
            raise window.truncated(line)
        try:
            yield Row(name, index, line, _element(window))
        except InputError as error:
            if error.code == "data_truncated":
                raise
            yield Row(name, index, line, fault=error)
        index += 1
        letter, line = window.next(), window.line
        if letter == "]" and _ends(window):
            return
        if letter == ",":
            window.move(window.at + 1)
            continue
        if not letter:
            raise window.truncated(line)
        _skip_to_object(window)
        window.move(window.at + 1)
        fault = InputError(f"{letter!r} where the list goes on or ends", code="data_syntax")
        yield Row(name, index, line, fault=fault)
        index += 1


def _ends(window: _Window) -> bool:
    """Return whether nothing comes behind a bracket, having moved behind it."""
    window.move(window.at + 1)
    return window.next() == ""


def _element(window: _Window) -> dict[str, Any]:
    """Parse the element that the window stands at, and move behind it, whatever it is."""
    while True:
        try:
            value, end = _DECODER.raw_decode(window.text, window.at)
        except (ValueError, RecursionError):
            break
        # A number at the end of the window may go on behind it.
        if end < len(window.text) or not window.more():
            if end - window.at > MAX_ROW:
                break
            written = window.text[window.at : end]
            window.move(end)
            if not written.isascii() and _ESCAPED.search(written):
                raise InputError("is not UTF-8", code="data_encoding")
            return _object(value)
    end = _extent(window)
    if end is None:
        _skip_to_object(window)
        raise InputError(
            f"is no JSON, and its end is not to be found within {MAX_ROW:,} letters",
            code="data_syntax",
        )
    written = window.text[window.at : end]
    window.move(end)
    return parse_object(written)


def _extent(window: _Window) -> int | None:
    """Return where the element ends by its brackets; None where they do not fit."""
    while True:
        end = _closing(window.text, window.at)
        if end is not None and (end < len(window.text) or window.ended):
            return end if 0 <= end <= window.at + MAX_ROW else None
        if len(window.text) - window.at > MAX_ROW or not window.more():
            return None


def _closing(text: str, at: int) -> int | None:
    """Return where the element at a place ends, None where that is not in sight, -1 where never."""
    if text[at] not in "[{":
        whole = _TOKEN.match(text, at) if text[at] == '"' else None
        return (whole or cast("re.Match[str]", _SCALAR.match(text, at))).end()
    opened: list[str] = []
    for token in _TOKEN.finditer(text, at):
        letter = text[token.start()]
        if token["cut"] is not None:
            return None
        if letter in "[{":
            opened.append(letter)
        elif letter in "]}":
            if opened.pop() != {"]": "[", "}": "{"}[letter]:
                return -1
            if not opened:
                return token.end()
    return None


def _skip_to_object(window: _Window) -> None:
    """Move to the comma before the next object that can be parsed.

    Raises:
        InputError: There is none (code ``data_truncated``).
    """
    line = window.line
    window.move(window.at + 1)
    while True:
        while len(window.text) - window.at < 2 * MAX_ROW and window.more():
            pass
        for found in _NEXT_OBJECT.finditer(window.text, window.at):
            if len(window.text) - found.start() < MAX_ROW and not window.ended:
                break
            try:
                _DECODER.raw_decode(window.text, found.end())
            except (ValueError, RecursionError):
                continue
            window.move(found.start())
            return
        if window.ended:
            raise window.truncated(line)
        window.move(window.at + MAX_ROW)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"the name {twice!r:.80} stands twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not a number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
