"""How an evaluation gets at the pictures of a benchmark: by files, unless it is told otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from librehps.errors import InputError
from librehps.evaluate.image_digest import image_digest

__all__ = ["FilePictures", "PictureSource", "Pictures"]

#: What a scorer is handed for a picture.
PictureSource: TypeAlias = Path | bytes


@runtime_checkable
class Pictures(Protocol):
    """Finds what records name; :class:`FilePictures` for files is the usual one."""

    def digest(self, image: Path) -> str:
        """Return the SHA-256 of a picture's bytes, as 64 hexadecimal digits.

        Raises:
            InputError: There is none to be had; the code says why.
        """
        ...

    def sources(self, images: Sequence[Path]) -> list[PictureSource | InputError]:
        """Return what each picture can be read from, or why it cannot.

        Whoever asks for many asks for a few at a time, in the order of the records.
        """
        ...


class FilePictures:
    """Pictures that are files of their own."""

    def digest(self, image: Path) -> str:
        """Return the SHA-256 of a file; see :func:`~librehps.evaluate.image_digest.image_digest`.

        Raises:
            InputError: See there.
        """
        return image_digest(image)

    def sources(self, images: Sequence[Path]) -> list[PictureSource | InputError]:
        """Return the files themselves: whoever opens one finds out what is wrong with it."""
        return list(images)
