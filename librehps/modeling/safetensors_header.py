"""The header of a safetensors file: where each tensor lies, checked against the file's size.

Nothing of a weight is read here, and nothing that a header says is believed before it fits.

References:
    The safetensors format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from librehps.errors import CheckpointError

__all__ = ["ITEM_BYTES", "Place", "damaged", "lfs_hint", "read_header", "reading"]

#: Bytes of a number, for the formats that weights may have.
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_MAX_HEADER_BYTES = 100_000_000


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: its file, dtype name, shape, and first byte."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int


def read_header(path: Path) -> dict[str, Place]:
    """Return the places of a file's tensors, in file order, after comparing them with its size.

    Raises:
        CheckpointError: Cut off, empty, with holes, or no safetensors file (``ckpt_truncated``).
    """
    actual = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(128)
        if len(start) < 8:
            raise damaged(path, f"has {actual} bytes, which is too few for any safetensors file")
        length = int.from_bytes(start[:8], "little")
        if length > _MAX_HEADER_BYTES or length + 8 > actual:
            what = f"has {actual} bytes but says that its header alone has {length}"
            raise damaged(path, what, start)
        file.seek(8)
        raw = file.read(length)
    try:
        header = json.loads(raw)
        places = _places(path, header, data=8 + length)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise damaged(path, f"has a header that makes no sense ({error})", start) from error
    end = 8 + length
    for name, (place, num_bytes) in places.items():
        if place.start != end:
            raise damaged(path, f"has a hole or an overlap before {name!r}", start)
        end += num_bytes
    if end != actual:
        raise damaged(path, f"has {actual} bytes, but its tensors need {end}", start)
    return {name: place for name, (place, _) in places.items()}


def _places(path: Path, header: Any, *, data: int) -> dict[str, tuple[Place, int]]:
    """Return place and number of bytes of each tensor in a header, by place in the file."""
    found: dict[str, tuple[Place, int]] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
        if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
            raise ValueError(f"{name!r} has shape {shape} at {begin}:{end}")
        dtype = str(entry["dtype"])
        if dtype in ITEM_BYTES and math.prod(shape) * ITEM_BYTES[dtype] != end - begin:
            raise ValueError(f"{name!r} of shape {shape} in {dtype} takes {end - begin} bytes")
        place = Place(path=path, dtype=dtype, shape=shape, start=data + begin)
        found[name] = (place, end - begin)
    return dict(sorted(found.items(), key=lambda item: (item[1][0].start, item[1][1])))


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Turn what the system says against reading a checkpoint into a typed error.

    Args:
        path: What is read, where the system does not name it.

    Raises:
        CheckpointError: An ``OSError`` was raised inside (code ``ckpt_unreadable``).
    """
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"cannot be read: {error.strerror or error}",
            code="ckpt_unreadable",
            item=str(error.filename or path),
        ) from error


def damaged(path: Path, what: str, raw: bytes = b"") -> CheckpointError:
    """Return the error for a file that is not whole; ``raw`` is how the file begins."""
    return CheckpointError(
        f"{what}{lfs_hint(raw)}; download the file again", code="ckpt_truncated", item=str(path)
    )


def lfs_hint(raw: bytes) -> str:
    """Return what to add to a message if the file is only a Git LFS pointer."""
    if raw.startswith(b"version https://git-lfs"):
        return "; this is a Git LFS pointer, not the file itself: run `git lfs pull`"
    return ""
