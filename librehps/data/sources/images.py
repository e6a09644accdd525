"""Where the images of a data set are: as files, or as bytes inside a row.

A record names a file, whatever it was read from. Bytes that come in a parquet or tar file are
written to a folder that the caller names, under the hash of what they are, and the record names
that file. A reference to a place inside the parquet file would save the disk space, but opening
one image would decompress the thousand others of its row group, and the loader opens them in a
random order. So the loader and the scorer need not know of it, an image that is in many
pairs is kept once, and two pairs of the same images are seen to be so. Who goes through the rows in
their order, as an evaluation does, needs no such copy and hands over an `ImageStore` of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, cast, runtime_checkable

from librehps.data.fields import bad_field, image_path, text
from librehps.errors import ConfigError, InputError
from librehps.inputs.containers import FORMATS, describe, sniff
from librehps.inputs.limits import DEFAULT_LIMITS, ImageLimits
from librehps.writing import write_bytes

__all__ = ["FolderStore", "ImageFiles", "ImageStore"]

_SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif"}
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:")


@runtime_checkable
class ImageStore(Protocol):
    """Takes images that come as bytes."""

    def keep(self, data: bytes, name: str) -> Path:
        """Take an image, and return what a record shall call it.

        Args:
            data: The bytes of its file, of a kind that is read here and within the limits.
            name: The SHA-256 of the bytes, as 64 hexadecimal digits, with an ending for the kind.
        """
        ...


@dataclass(frozen=True)
class FolderStore:
    """Writes images to files, each once.

    Args:
        folder: Where to; made if it is not there.
    """

    folder: Path

    def keep(self, data: bytes, name: str) -> Path:
        """Return the image's file; see `ImageStore`."""
        # Two letters: a folder with a million files in it is slow to open.
        path = self.folder / name[:2] / name
        if not (path.is_file() and path.stat().st_size == len(data)):
            write_bytes(path, data)
        return path


@dataclass(frozen=True)
class ImageFiles:
    """Turns what a row says of an image or a video into the path of a file.

    Args:
        root: Folder that paths in rows start from; no path of a row leaves it.
        cache: Folder for images that come as bytes; ``None`` where none are expected.
        allow_outside: Whether absolute paths and ``..`` are allowed after all.
        check_files: Whether a file that is not there is an error.
        limits: What an image's bytes may be at most.
        store: Takes images that come as bytes, in place of ``cache``.
    """

    root: Path
    cache: Path | None = None
    allow_outside: bool = False
    check_files: bool = False
    limits: ImageLimits = DEFAULT_LIMITS
    store: ImageStore | None = None

    def image(self, fields: Mapping[str, Any], name: str) -> Path:
        """Return the file of the image in a field.

        The field holds a path, the bytes of a file, or what the ``datasets`` library writes:
        ``{"bytes", "path"}``, of which bytes come first.

        Raises:
            InputError: No path or bytes (code ``data_row``), a path that leaves the root or is a
                URL (``data_path``), no such file (``data_image``), or bytes that are no image or
                too many (``image_empty``, ``image_unrecognized``, ``image_too_large``).
            ConfigError: Bytes, and no folder to keep them in (code ``data_image_cache``).
        """
        value = fields.get(name)
        if isinstance(value, dict):
            stored = cast("dict[str, Any]", value)
            value = stored.get("bytes")
            if value is None:
                return self._path({name: stored.get("path")}, name)
        if isinstance(value, bytes):
            return self._keep(value, name)
        return self._path(fields, name)

    def _path(self, fields: Mapping[str, Any], name: str) -> Path:
        written = text(fields, name)
        if _URL.match(written):
            raise InputError(
                f"{name} is the URL {written!r:.100}; nothing is fetched: download the file and "
                "name its path",
                code="data_path",
            )
        if self.allow_outside:
            if "\0" in written:
                raise bad_field(f"{name} is {written!r:.100}, which is no path")
            path = self.root / PurePosixPath(written)
        else:
            path = image_path(fields, name, self.root)
        if self.check_files:
            _check_file(path, name)
        return path

    def _keep(self, data: bytes, name: str) -> Path:
        store = self.store
        if store is None and self.cache is not None:
            store = FolderStore(self.cache)
        if store is None:
            raise ConfigError(
                f"{name} holds the image itself: name a folder to keep the images in (image_cache)",
                code="data_image_cache",
            )
        try:
            self.limits.check_bytes(len(data))
        except InputError as error:
            raise error.at(name) from None
        kind = sniff(data)
        if kind is None:
            code = "image_unrecognized" if data else "image_empty"
            what = f"look like {describe(data)}" if data else "are none"
            raise InputError(
                f"{name} is no image that is read here: its {len(data):,} bytes {what}; the "
                f"formats are {', '.join(FORMATS)}",
                code=code,
            )
        suffix = _SUFFIXES.get(kind, f".{kind.lower()}")
        return store.keep(data, hashlib.sha256(data).hexdigest() + suffix)


def _check_file(path: Path, name: str) -> None:
    try:
        there = path.is_file()
    except (OSError, ValueError) as error:
        # A name may be too long for the file system.
        raise InputError(
            f"{name}: no file can be called {path.name!r:.100}", code="data_image"
        ) from error
    if not there:
        raise InputError(f"{name}: there is no file {str(path)!r}", code="data_image")
