"""Scores that were computed once, kept in a file that survives a kill at any moment.

A file for each scorer, ``<digest of its identity>.jsonl``: a line that says whose it is, then one
for each item. Every line begins with a checksum of the rest. Lines are only ever appended; one that
is torn or damaged is passed over, and its item computed and written again. Nothing is pickled::

    5f3a90c1 {"format_version": 1, "identity": {"model": "sha256:…", "settings": {…}}}
    0b7d1e42 {"key": "9c41…", "score": {"axes": {"overall": [1.25, 0.5]}, "notes": [], …}}
    e8810fa3 {"key": "77d0…", "error": {"code": "image_truncated", "message": "…"}}
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias, cast

from librehps.errors import ConfigError, InputError
from librehps.evaluate.identity import ScorerIdentity
from librehps.results import AXIS_FIELDS, AxisScore, Score

__all__ = ["FORMAT_VERSION", "Outcome", "ScoreCache"]

FORMAT_VERSION = 1

#: What became of an item: its score, or why it has none.
Outcome: TypeAlias = Score | InputError


class ScoreCache:
    """The outcomes of one scorer by the key of the item, kept in a folder.

    A context manager. One process at a time may have a scorer's file open.

    Args:
        folder: Where the files are; made if it is not there.
        identity: Whose scores are read and written.

    Raises:
        ConfigError: Another process has the file open (code ``cache_in_use``), or the file is of
            another scorer or format (``cache_other``).
    """

    def __init__(self, folder: Path, identity: ScorerIdentity) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{identity.digest}.jsonl"
        self._outcomes: dict[str, Outcome] = {}
        # Unbuffered: what was handed over is with the system, whatever becomes of this process.
        self._file = self.path.open("ab+", buffering=0)
        try:
            self._lock()
            self._read(identity)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> ScoreCache:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._outcomes)

    def __contains__(self, key: object) -> bool:
        return key in self._outcomes

    def __getitem__(self, key: str) -> Outcome:
        """Return the outcome of an item that is there."""
        return self._outcomes[key]

    def add(self, outcomes: Mapping[str, Outcome]) -> None:
        """Keep the outcomes of items, on the disk too; those that are there already stay."""
        new = {key: found for key, found in outcomes.items() if key not in self._outcomes}
        self._write(_line({"key": key, **_to_json(found)}) for key, found in new.items())
        self._outcomes |= new

    def _lock(self) -> None:
        # Two writers would not tear each other's lines, but both would compute everything.
        if sys.platform == "win32":
            return
        import fcntl

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                "another evaluation with this scorer is writing here: wait for it, or name another "
                "folder for the scores",
                code="cache_in_use",
                item=str(self.path),
            ) from error

    def _read(self, identity: ScorerIdentity) -> None:
        self._file.seek(0)
        whole = self._file.read() or b""
        kept = whole.rfind(b"\n") + 1
        if kept < len(whole):
            self._file.truncate(kept)
        rows = [row for line in whole[:kept].splitlines() if (row := _parse(line)) is not None]
        own = {"format_version": FORMAT_VERSION, "identity": identity.to_dict()}
        heads = [row for row in rows if "format_version" in row]
        if any(head != own for head in heads):
            raise ConfigError(
                "was written for another scorer, or by another version: name another folder for "
                "the scores",
                code="cache_other",
                item=str(self.path),
            )
        if not heads:
            self._write([_line(own)])
        for row in rows:
            outcome = _from_json(row)
            if outcome is not None:
                self._outcomes.setdefault(row["key"], outcome)

    def _write(self, lines: Iterable[bytes]) -> None:
        data = memoryview(b"".join(lines))
        # A write may take a part only.
        while data:
            data = data[self._file.write(data) or 0 :]
        os.fsync(self._file.fileno())


def _line(row: Mapping[str, Any]) -> bytes:
    text = json.dumps(row, allow_nan=False).encode("ascii")
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return the object of a line, or nothing if the line is not as it was written."""
    check, _, text = line.partition(b" ")
    if check != b"%08x" % zlib.crc32(text):
        return None
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", row) if isinstance(row, dict) else None


def _to_json(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, InputError):
        # Where the file lay is no part of it: the same picture may lie elsewhere next time.
        return {"error": {"code": outcome.code, "message": outcome.message}}
    axes = {name: [score.mean, score.sigma] for name, score in outcome.axes.items()}
    return {"score": {"axes": axes, "notes": list(outcome.notes), "trained": outcome.trained}}


def _from_json(row: Mapping[str, Any]) -> Outcome | None:
    """Return the outcome that a line holds, or nothing if it holds none that makes sense."""
    try:
        if not isinstance(row["key"], str):
            return None
        if "error" in row:
            return InputError(str(row["error"]["message"]), code=str(row["error"]["code"]))
        score = row["score"]
        axes = {name: AxisScore(mean, sigma) for name, (mean, sigma) in score["axes"].items()}
        if not set(axes) <= set(AXIS_FIELDS):
            return None
        return Score(**axes, notes=tuple(score["notes"]), trained=score["trained"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
