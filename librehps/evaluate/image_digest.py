"""What names a picture by its content, whatever its file is called."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from librehps.errors import InputError
from librehps.inputs.limits import DEFAULT_LIMITS, ImageLimits

__all__ = ["image_digest"]


def image_digest(path: Path, *, limits: ImageLimits = DEFAULT_LIMITS) -> str:
    """Return the SHA-256 of an image file, as 64 hexadecimal digits, without decoding it.

    Raises:
        InputError: There is no such file (code ``image_missing``), it is no regular file
            (``image_not_a_file``), too large (``image_too_large``) or not readable
            (``image_unreadable``).
    """
    try:
        status = os.stat(path)
        # Asked before it is opened: opening a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(status.st_mode):
            raise InputError("the path is no regular file", code="image_not_a_file")
        limits.check_bytes(status.st_size)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError("there is no such file", code="image_missing") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"the file cannot be read: {reason}", code="image_unreadable") from error
