"""Pictures that stand inside the rows of a data set, such as in parquet and tar files.

They are neither written to files nor held. Of each the SHA-256 is noted when its row is read for
the first time, and a record calls it by that. When it is to be scored or shown, the rows are gone
through again up to where it stands. Scoring asks in the order of the records, so that one more pass
serves all of it; a run that finds every score in the cache needs none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from librehps.data.sources import ImageFiles, Source
from librehps.errors import InputError
from librehps.evaluate.image_digest import image_digest
from librehps.evaluate.pictures import PictureSource

__all__ = ["PREFIX", "RowPictures"]

#: How the name of a picture begins that has no file; the SHA-256 of its bytes follows.
PREFIX = "sha256:"


class RowPictures:
    """Pictures of a data set, of which some or all stand inside its rows.

    Read the records with :attr:`reader`; what it has seen can be asked for afterwards.

    Args:
        source: What the files look like.
        files: The files, in their order.
        root: Folder that the paths in rows start from.
    """

    def __init__(self, source: Source, files: Sequence[Path], root: Path) -> None:
        self._source = source
        self._files = tuple(files)
        self._inside: set[Path] = set()
        #: Turns what a row says of a picture into its name, and notes those that are in the row.
        self.reader = ImageFiles(root, store=_Noted(root, self._inside))
        self._held = _Held(root)
        self._again = ImageFiles(root, store=self._held)
        self._walk = self._rows()

    def digest(self, image: Path) -> str:
        """Return the SHA-256 of a picture; see :class:`~librehps.evaluate.pictures.Pictures`.

        Raises:
            InputError: It is a file of its own that cannot be read; see
                :func:`~librehps.evaluate.image_digest.image_digest`.
        """
        if image in self._inside:
            return Path(image.name.removeprefix(PREFIX)).stem
        return image_digest(image)

    def sources(self, images: Sequence[Path]) -> list[PictureSource | InputError]:
        """Return bytes, and the files of those that have one.

        The bytes of all that are asked for at once are held at once, and those of one row.
        """
        wanted = self._inside.intersection(images)
        found = self._gather(wanted) if wanted else {}
        return [
            found.get(image, _gone(image)) if image in wanted else Path(image) for image in images
        ]

    def _gather(self, wanted: set[Path]) -> dict[Path, bytes]:
        found: dict[Path, bytes] = {}
        # On from the row where the last call ended; then once through all of them.
        for _ in range(2):
            while True:
                held = self._held.row
                found |= {image: held[image] for image in wanted & held.keys()}
                if len(found) == len(wanted):
                    return found
                if not next(self._walk, False):
                    break
            self._walk = self._rows()
        return found

    def _rows(self) -> Iterator[bool]:
        """Go through the rows, holding what stands in one at a time."""
        try:
            for file in self._files:
                for row in self._source.rows(file):
                    self._held.row.clear()
                    if row.fault is not None:
                        continue
                    try:
                        self._source.records(row, self._again)
                    except InputError:
                        # It was listed as bad when it was read for the first time.
                        continue
                    yield True
        except InputError:
            # The file is no longer what it was: what is missing is told one by one.
            return
        finally:
            self._held.row.clear()


class _Noted:
    """Notes which pictures there are."""

    def __init__(self, root: Path, inside: set[Path]) -> None:
        self._root = root
        self._inside = inside

    def keep(self, data: bytes, name: str) -> Path:
        path = self._root / f"{PREFIX}{name}"
        self._inside.add(path)
        return path


class _Held:
    """Holds the pictures of a row."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.row: dict[Path, bytes] = {}

    def keep(self, data: bytes, name: str) -> Path:
        path = self._root / f"{PREFIX}{name}"
        self.row[path] = data
        return path


def _gone(image: Path) -> InputError:
    return InputError("the picture is no longer in the rows of its file", code="image_changed")
