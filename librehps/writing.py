"""Writing files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

__all__ = ["write_lines"]


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file that appears whole or not at all, also where the machine fails.

    Args:
        path: The file; its folder is made where there is none.
        lines: What to write, with the ends of the lines, in UTF-8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
            # Otherwise the name may be on the disk before what it names.
            file.flush()
            os.fsync(file.fileno())
        # A temporary file is private; this is as readable as other files.
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
