"""A benchmark from any reader of ``librehps.data.sources``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from librehps.data.records import Comparison, Ranking
from librehps.data.sources import (
    BadRow,
    Dropped,
    ImageFiles,
    Reading,
    Record,
    Row,
    Source,
    find_files,
)
from librehps.errors import ConfigError, InputError
from librehps.evaluate.row_pictures import RowPictures
from librehps.evaluate.split import CALIBRATION_SHARE, in_calibration_part, turned_round
from librehps.evaluate.suite import Case, SuiteData, video_refused

__all__ = ["SourceSuite"]

_VIDEOS = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg")


@dataclass(frozen=True, kw_only=True)
class SourceSuite:
    """Records that a reader makes, one at a time; see :class:`~librehps.evaluate.suite.Suite`.

    A record is for fitting by the hash of the place of its row, so all pairs of a ranking stay
    together. Images inside rows are not written anywhere.

    Args:
        source: What the files look like.
        description: What it is, in a line.
        tie_rule: A name in ``TIE_RULES``.
        file: Name of the file in the folder that the user names; ``None`` where the user names a
            file, or a folder of which all files are read.
        takes: What the user may name: ``"file"``, ``"folder"`` or ``"either"``.
        prefix: What stands before the name of the file in a report; ``None`` for its folder's name.
        name: What it is called in a report, whatever its file is called; ``None`` for the two.
        root: Folder that the paths of images start from; that of the files if ``None``.
        share: Share of the records that is for fitting, in [0, 1].
        video: Whether its records are about videos.
        video_columns: Columns that only tables of videos have.
    """

    source: Source
    description: str
    tie_rule: str = "strict"
    file: str | None = None
    takes: str = "either"
    prefix: str | None = None
    name: str | None = None
    root: Path | None = None
    share: float = CALIBRATION_SHARE
    video: bool = False
    video_columns: tuple[str, ...] = ()

    def read(
        self,
        data: Path,
        *,
        max_bad_share: float = 0.01,
        on_bad: Callable[[BadRow], None] = lambda bad: None,
    ) -> SuiteData:
        """Read the records; see :class:`~librehps.evaluate.suite.Suite`.

        Raises:
            InputError: No such file, one that cannot be read, one without records (code
                ``data_file``), or more bad rows than allowed (``data_bad_rows``).
            ConfigError: A folder where a file is wanted, or the other way round (code
                ``suite_data``), or videos (``suite_video``).
        """
        files = self._files(data)
        name = self._name(data, files)
        if self.video:
            raise video_refused(name)
        root = files[0].parent if self.root is None else self.root
        pictures = RowPictures(self.source, files, root)
        reading = Reading(
            _PicturesOnly(self.source, self.video_columns, name),
            files,
            pictures.reader,
            max_bad_share=max_bad_share,
            on_bad=on_bad,
        )
        cases = tuple(
            Case(
                global_index=number,
                record=_turned(record, number),
                for_fitting=in_calibration_part(number, share=self.share),
            )
            for number, _, records in reading.by_row()
            for record in records
        )
        if not cases:
            raise InputError("holds no record", code="data_file", item=str(data))
        report = reading.report
        return SuiteData(
            name=name,
            cases=cases,
            images=root,
            sha256=_sha256(files),
            num_rows=report.rows,
            num_bad_rows=report.num_bad,
            dropped=report.dropped,
            pictures=pictures,
        )

    def _files(self, data: Path) -> tuple[Path, ...]:
        folder = data.is_dir()
        if self.takes == ("file" if folder else "folder"):
            where = "the folder" if self.file is None else f"the folder that holds {self.file}"
            raise ConfigError(
                f"this suite takes {'a file' if folder else where}: name it with --data",
                code="suite_data",
                item=str(data),
            )
        chosen = data / self.file if folder and self.file is not None else data
        return find_files(chosen, self.source.suffixes)

    def _name(self, data: Path, files: Sequence[Path]) -> str:
        if self.name is not None:
            return self.name
        shown = files[0] if len(files) == 1 else data
        return f"{self.prefix or shown.resolve().parent.name}/{shown.resolve().stem}"


@dataclass(frozen=True)
class _PicturesOnly:
    """A source of which a row with a video is an end and no bad row."""

    inner: Source
    columns: tuple[str, ...]
    name: str

    @property
    def suffixes(self) -> tuple[str, ...]:
        return self.inner.suffixes

    @property
    def ties(self) -> str:
        return self.inner.ties

    def rows(self, file: Path) -> Iterator[Row]:
        return self.inner.rows(file)

    def records(self, row: Row, images: ImageFiles) -> Sequence[Record] | Dropped:
        # Asked first: the bytes of a video would only be an image that is not read here.
        if any(column in row.fields for column in self.columns):
            raise video_refused(self.name)
        found = self.inner.records(row, images)
        if not isinstance(found, Dropped):
            for record in found:
                if any(image.suffix.lower() in _VIDEOS for image in _images(record)):
                    raise video_refused(f"{self.name}, {row.name}")
        return found


def _images(record: Record) -> Sequence[Path]:
    if isinstance(record, Comparison):
        return (record.image_a, record.image_b)
    return record.images if isinstance(record, Ranking) else (record.image,)


def _turned(record: Record, number: int) -> Record:
    """Return a comparison the way round in which it is judged; other records as they are."""
    if isinstance(record, Comparison) and turned_round(number):
        return record.swapped()
    return record


def _sha256(files: Sequence[Path]) -> str:
    lines: list[str] = []
    for path in files:
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
    if len(lines) == 1:
        return lines[0].split()[0]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
