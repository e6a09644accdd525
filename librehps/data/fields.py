"""What stands in a row of a data file, checked field by field: text, numbers and paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from unicodedata import category

from librehps.errors import InputError

__all__ = [
    "bad_field",
    "image_path",
    "number",
    "optional_number",
    "optional_text",
    "text",
]


def text(fields: Mapping[str, Any], name: str) -> str:
    """Return a text that is not empty.

    Raises:
        InputError: It is missing, empty, no text, or holds half of a surrogate pair (code
            ``data_row``).
    """
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise bad_field(f"{name} is {value!r:.100}, not a text")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise bad_field(f"{name} holds half of a surrogate pair, which is no text")
    return value


def optional_text(fields: Mapping[str, Any], name: str) -> str | None:
    """Return a text, or ``None`` where there is none or a null.

    Raises:
        InputError: See `text`.
    """
    return None if fields.get(name) is None else text(fields, name)


def number(name: str, value: Any) -> float:
    """Return a number as a float; true and false are none.

    Raises:
        InputError: It is no number, or too large for a float (code ``data_row``).
    """
    if type(value) not in (int, float):
        raise bad_field(f"{name} is {value!r:.100}, not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise bad_field(f"{name} is a number of {value.bit_length()} bits") from error


def optional_number(fields: Mapping[str, Any], name: str) -> float | None:
    """Return a number as a float, or ``None`` where there is none or a null.

    Raises:
        InputError: See `number`.
    """
    value = fields.get(name)
    return None if value is None else number(name, value)


# Control characters, NUL among them, and surrogates.
_NOT_IN_PATHS = ("Cc", "Cs")


def image_path(fields: Mapping[str, Any], name: str, base: Path) -> Path:
    """Return the path of an image that a row names, inside ``base``.

    Nothing is looked up: links below ``base`` are whoever's who put them there, and are followed.

    Raises:
        InputError: It is no text (code ``data_row``); or it is an absolute path elsewhere, goes up,
            has a backslash, or control characters or surrogates (``data_path``).
    """
    written = text(fields, name)
    path = PurePosixPath(written)
    fault = None
    if any(category(letter) in _NOT_IN_PATHS for letter in written):
        fault = "has letters that do not belong in a path"
    elif "\\" in written:
        fault = "has a backslash: folders are told apart by /"
    elif not path.parts or ".." in path.parts:
        fault = "is no path inside the folder of images"
    elif path.is_absolute() and not path.is_relative_to(base.absolute()):
        fault = f"is not inside the folder of images, {base.absolute()}"
    if fault is not None:
        raise InputError(f"{name} is {written!r:.100}, which {fault}", code="data_path")
    return base / path


def bad_field(what: str) -> InputError:
    """Return the error for a field that is not what it should be (code ``data_row``)."""
    return InputError(what, code="data_row")
