"""Reading JSON from a file that nobody vouches for: bounded, and without any leniency."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any, NoReturn, cast

from librehps.errors import CheckpointError

__all__ = ["MAX_BYTES", "read_strict_json"]

#: A hundred times what the largest calibration needs.
MAX_BYTES = 16 * 1024 * 1024


class _Refused(ValueError):
    """Valid for a lenient parser, and refused here."""


def read_strict_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a key that stands twice, NaN and infinity are refused.

    Raises:
        CheckpointError: There is no such file (code ``calibration_missing``); or it is not a plain
            file, too large, not UTF-8, not JSON or not an object (``calibration_file``).
    """
    item = str(path)
    try:
        # Asked before it is opened: opening a pipe would wait for somebody to write into it.
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise CheckpointError("is not a plain file", code="calibration_file", item=item)
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise CheckpointError(
            "there is no such file; fit a calibration, or score without one",
            code="calibration_missing",
            item=item,
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"cannot be read ({error.strerror})", code="calibration_file", item=item
        ) from error
    if len(raw) > MAX_BYTES:
        raise CheckpointError(
            f"has more than {MAX_BYTES} bytes, the most that are read",
            code="calibration_file",
            item=item,
        )
    try:
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"is not valid JSON ({str(error)[:200]})", code="calibration_file", item=item
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(
            f"holds a JSON {type(value).__name__}, not an object",
            code="calibration_file",
            item=item,
        )
    return cast("dict[str, Any]", value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Refused(f"the key {key[:80]!r} stands twice")
        found[key] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not a number of JSON")
