"""Finding and opening the files of a data set."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import IO

from librehps.errors import InputError

__all__ = ["find_files", "open_file"]


def find_files(path: Path, suffixes: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the files that a path stands for: itself, or all of a folder in the order of names.

    Args:
        path: A file of any name, or a folder; its own folders are not looked into, nor files whose
            names begin with a dot, which systems leave beside the user's.
        suffixes: How the files in a folder must end, in small letters or capitals.

    Raises:
        InputError: There is nothing there, or no such file in the folder (code ``data_file``).
    """
    if path.is_dir():
        found = sorted(one for one in path.iterdir() if one.is_file() and _is_meant(one, suffixes))
        if not found:
            raise InputError(
                f"holds no file that ends in {' or '.join(suffixes)}",
                code="data_file",
                item=str(path),
            )
        return tuple(found)
    if not path.exists():
        raise InputError("there is no such file or folder", code="data_file", item=str(path))
    return (path,)


def _is_meant(file: Path, suffixes: tuple[str, ...]) -> bool:
    return file.suffix.lower() in suffixes and not file.name.startswith(".")


def open_file(path: Path) -> IO[bytes]:
    """Open a file for reading.

    Raises:
        InputError: It is not there, no plain file, or may not be read (code ``data_file``).
    """
    try:
        # Asked before it is opened: opening a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError("is not a plain file", code="data_file", item=str(path))
        return path.open("rb")
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", code="data_file", item=str(path)
        ) from error
