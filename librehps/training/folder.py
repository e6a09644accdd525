"""The folder of a run: who may begin in it, who holds it, and what a kill left there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from librehps.errors import ConfigError, InputError
from librehps.training.snapshot import latest_snapshot

__all__ = ["held_folder", "remove_leftovers"]

_LOCK = ".lock"
_BEFORE_THE_FIRST_STEP = {
    _LOCK,
    "recipe.json",
    "bad-pairs.jsonl",
    "bad-rows-train.jsonl",
    "bad-rows-validation.jsonl",
}
# Everything is written under another name beside its place first.
_LEFTOVERS = (
    ".best.*.tmp",
    ".last.*.tmp",
    ".best-adapter.part",
    ".last-adapter.part",
    "snapshots/.step-*.part",
    ".recipe.json.*",
    ".log.jsonl.*",
    ".bad-pairs.jsonl.*",
    ".bad-rows-*.jsonl.*",
)


@contextmanager
def held_folder(out: Path, *, resume: bool) -> Generator[Path | None]:
    """Hold the folder of a run, which is made where there is none, while it is written to.

    Of several processes the first one holds it. What a run that was killed had begun to write is
    removed.

    Args:
        out: The folder.
        resume: Whether the run in it is to go on; a new one needs a folder in which nobody has
            done a step.

    Yields:
        The last snapshot to go on from, or ``None``.

    Raises:
        ConfigError: The folder is not empty, holds no run to resume, or is held by another process
            (code ``run_folder``).
        InputError: The folder cannot be written, then or later (code ``out_unwritable``).
    """
    try:
        found = latest_snapshot(out / "snapshots")
        if resume and found is None and not (out / "recipe.json").exists():
            raise ConfigError(f"{out} holds no run to resume", code="run_folder")
        if not resume and not _may_begin(out):
            raise ConfigError(
                f"{out} is not empty: resume the run in it, or name a new folder",
                code="run_folder",
            )
        out.mkdir(parents=True, exist_ok=True)
        if int(os.environ.get("RANK", "0")):
            yield found
            return
        with _locked(out):
            remove_leftovers(out)
            yield found
    except OSError as error:
        last = latest_snapshot(out / "snapshots") if out.is_dir() else None
        after = "" if last is None else f"; what was done up to {last.name} is safe: resume the run"
        raise InputError(
            f"cannot be written: {error}{after}", code="out_unwritable", item=str(out)
        ) from error


def remove_leftovers(out: Path) -> None:
    """Remove what a run that was killed had begun to write in its folder and not finished."""
    for begun in _leftovers(out):
        if begun.is_dir():
            shutil.rmtree(begun, ignore_errors=True)
        else:
            begun.unlink(missing_ok=True)


def _may_begin(out: Path) -> bool:
    """Whether a folder is new, empty, or left by a run that failed before its first step."""
    if not out.exists():
        return True
    if not out.is_dir():
        return False
    begun = {path.name for path in _leftovers(out)}
    return {path.name for path in out.iterdir()} <= _BEFORE_THE_FIRST_STEP | begun


def _leftovers(out: Path) -> list[Path]:
    return [path for pattern in _LEFTOVERS for path in out.glob(pattern)]


@contextmanager
def _locked(out: Path) -> Generator[None]:
    """Hold a file that the system lets go of when the process ends, however it ends."""
    if os.name != "posix":  # Elsewhere there is no such lock in Python.
        yield
        return
    import fcntl

    path = out / _LOCK
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise ConfigError(
                f"{out} is being written by process {file.read().strip() or 'of another run'}: "
                "wait for it, stop it, or name a new folder",
                code="run_folder",
            ) from error
        except OSError:
            # Some network file systems have no locks; that is no reason not to train there.
            yield
            return
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
