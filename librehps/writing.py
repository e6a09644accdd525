"""Writing files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from librehps.errors import InputError

__all__ = ["into", "write_bytes", "write_lines"]


@contextmanager
def into(place: Path) -> Generator[None]:
    """Say of a file or a folder that it cannot be written, where writing in this block fails.

    Args:
        place: What the user named.

    Raises:
        InputError: An ``OSError`` was raised inside (code ``out_unwritable``).
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot be written: {error}", code="out_unwritable", item=str(place)
        ) from error


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file that appears whole or not at all, also where the machine fails.

    Args:
        path: The file; its folder is made where there is none.
        lines: What to write, with the ends of the lines, in UTF-8.
    """
    with _whole(path) as file:
        file.writelines(line.encode("utf-8") for line in lines)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all, also where the machine fails.

    Args:
        path: The file; its folder is made where there is none.
        data: What to write.
    """
    with _whole(path) as file:
        file.write(data)


@contextmanager
def _whole(path: Path) -> Generator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            # Otherwise the name may be on the disk before what it names.
            file.flush()
            os.fsync(file.fileno())
        # A temporary file is private; this is as readable as other files.
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
