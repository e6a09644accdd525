"""The prompts of a generator benchmark by category: which picture should show what.

What peers use is read as it is::

    anime.json    ["a cat", "a dog"]          HPSv2: the picture of the second is 00001.jpg
    anime.json    {"cat-1.png": "a cat"}      by the name of the file, or without its ending
    anime.jsonl   {"image": "cat-1.png", "prompt": "a cat"}    a line for each
    anime.txt     a line for each prompt, the first of which has the number 0
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from librehps.data.fields import text
from librehps.data.sources.files import open_file
from librehps.data.sources.json_rows import json_rows, parse_object
from librehps.data.sources.text_lines import decode_line, text_lines
from librehps.errors import InputError

__all__ = ["CategoryPrompts", "read_category_prompts"]

_MAX_BYTES = 64 * 1024 * 1024
_MAX_LINE = 2**20
_SUFFIXES = (".json", ".jsonl", ".txt")
_KEYS = {"image", "prompt"}


@dataclass(frozen=True)
class CategoryPrompts:
    """The prompts of one category.

    Args:
        texts: Prompts by the number of the picture, or by the name of its file with or without the
            ending.
        numbered: Whether it is by numbers.
    """

    texts: Mapping[str, str]
    numbered: bool

    def key_of(self, file: str) -> str | None:
        """Return the key of the prompt that a file is a picture of; ``None`` where there is none.

        Args:
            file: Its name, such as ``"00012.jpg"``.
        """
        stem = PurePosixPath(file).stem
        if self.numbered:
            number = str(int(stem)) if stem.isascii() and stem.isdecimal() else ""
            return number if number in self.texts else None
        return next((key for key in (file, stem) if key in self.texts), None)

    def name_of(self, key: str) -> str:
        """Return what the picture of a prompt would be called, where there is none."""
        return f"{int(key):05d}" if self.numbered else key


def read_category_prompts(path: Path) -> dict[str, CategoryPrompts]:
    """Read the prompts of all categories.

    Args:
        path: A folder with a file for each category, called after it; or one JSON file with an
            object of categories, each a list of prompts or an object by file name.

    Raises:
        InputError: There is nothing there (code ``data_file``), two files for a category, or
            something that is no prompt or no plain name of a file (``prompt_file``).
    """
    if not path.is_dir():
        fields = _parse(path)
        if not isinstance(fields, dict):
            raise _fault(path, "is no JSON object of categories")
        categories = cast("dict[str, Any]", fields)
        return {name: _of_value(path, value, name) for name, value in categories.items()}
    found: dict[str, CategoryPrompts] = {}
    for file in sorted(path.iterdir()):
        # Names that begin with a dot are of systems that leave files beside the user's.
        if file.suffix.lower() not in _SUFFIXES or file.name[0] == "." or not file.is_file():
            continue
        if file.stem in found:
            raise _fault(file, f"is the second file with prompts of {file.stem!r}")
        found[file.stem] = _of_file(file)
    if not found:
        raise InputError(
            f"holds no file that ends in {', '.join(_SUFFIXES)}: one for each category",
            code="data_file",
            item=str(path),
        )
    return found


def _of_file(file: Path) -> CategoryPrompts:
    if file.suffix.lower() == ".json":
        return _of_value(file, _parse(file), file.stem)
    if file.suffix.lower() == ".txt":
        lines: list[str] = []
        with open_file(file) as opened:
            for number, raw in text_lines(opened, _MAX_LINE):
                try:
                    lines.append(decode_line(raw, _MAX_LINE).strip())
                except InputError as error:
                    raise error.at(f"{file}, line {number}") from None
        while lines and not lines[-1]:
            lines.pop()
        return _numbered(file, lines)
    texts: dict[str, str] = {}
    for row in json_rows(file):
        try:
            if row.fault is not None:
                raise row.fault
            if unknown := sorted(set(row.fields) - _KEYS):
                raise InputError(f"has the key {unknown[0]!r:.100}", code="prompt_file")
            key = text(row.fields, "image")
            if key in texts:
                raise InputError(f"{key!r:.100} stands twice", code="prompt_file")
            texts[key] = text(row.fields, "prompt")
        except InputError as error:
            raise _fault(file, f"line {row.line}: {error.message}") from error
    return _named(file, texts)


def _of_value(path: Path, value: Any, category: str) -> CategoryPrompts:
    if isinstance(value, list):
        return _numbered(path, cast("list[Any]", value))
    if isinstance(value, dict):
        return _named(path, cast("dict[str, Any]", value))
    raise _fault(
        path,
        f"the prompts of {category!r:.100} are a JSON {type(value).__name__}, neither a list nor "
        "an object",
    )


def _numbered(path: Path, values: Sequence[Any]) -> CategoryPrompts:
    texts = {str(place): _prompt(path, str(place), value) for place, value in enumerate(values)}
    return CategoryPrompts(_some(path, texts), numbered=True)


def _named(path: Path, values: Mapping[str, Any]) -> CategoryPrompts:
    for key in values:
        _prompt(path, "a name", key)
        # A picture that is not there is looked for under this name, and that inside its folder.
        if PurePosixPath(key).parts != (key,) or key == ".." or set(key) & set("\\\0"):
            raise _fault(path, f"{key!r:.100} is no plain name of a file")
    texts = {key: _prompt(path, key, value) for key, value in values.items()}
    return CategoryPrompts(_some(path, texts), numbered=False)


def _prompt(path: Path, key: str, value: Any) -> str:
    try:
        return text({"prompt": value}, "prompt")
    except InputError as error:
        raise _fault(path, f"{key!r:.100}: {error.message}") from error


def _some(path: Path, texts: dict[str, str]) -> dict[str, str]:
    if not texts:
        raise _fault(path, "holds no prompt")
    return texts


def _parse(path: Path) -> Any:
    with open_file(path) as file:
        raw = file.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise _fault(path, f"has more than {_MAX_BYTES:,} bytes, the most that are read")
    try:
        written = raw.decode("utf-8-sig")
        # A name that stands twice is refused in an object; a list of texts has none.
        return parse_object(written) if written.lstrip()[:1] == "{" else json.loads(written)
    except InputError as error:
        raise _fault(path, error.message) from error
    except (ValueError, RecursionError) as error:
        raise _fault(path, f"is not valid JSON ({str(error)[:200]})") from error


def _fault(path: Path, what: str) -> InputError:
    return InputError(what, code="prompt_file", item=str(path))
