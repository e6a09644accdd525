"""What a run writes down: lines of JSON, TensorBoard's events, and curves to look at."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from librehps.writing import write_lines

__all__ = ["Journal", "draw_curves", "read_journal"]

LOG = "log.jsonl"
CURVES = "curves.png"


class Journal:
    """Writes a run's numbers as they come.

    ``log.jsonl`` has an object per line with ``kind`` (``train`` or ``validation``) and ``step``.
    There is no file before the first line: a run that fails before it leaves nothing behind.

    Args:
        folder: The run's folder.
        step: Updates that are done; lines of later ones, written before a stop, are dropped.
        tensorboard: Whether to write TensorBoard's events too.
    """

    def __init__(self, folder: Path, *, step: int = 0, tensorboard: bool = True) -> None:
        self._folder = folder
        self._step = step
        self._tensorboard = tensorboard
        self._file: TextIO | None = None
        self._events: Any = None
        kept = [row for row in read_journal(folder) if row["step"] <= step]
        if (folder / LOG).exists():
            write_lines(folder / LOG, (json.dumps(row) + "\n" for row in kept))

    def __enter__(self) -> Journal:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        if self._file is not None:
            self._file.close()
        if self._events is not None:
            self._events.close()

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Write one line; numbers inside it go to TensorBoard under their names."""
        if self._file is None:
            self._file = self._opened()
        self._file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        self._file.flush()
        if self._events is not None:
            for name, value in _numbers(values).items():
                self._events.add_scalar(f"{kind}/{name}", value, step)

    def _opened(self) -> TextIO:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._tensorboard:
            from torch.utils.tensorboard.writer import SummaryWriter

            folder = str(self._folder / "tensorboard")
            self._events = SummaryWriter(folder, purge_step=self._step + 1)
        return (self._folder / LOG).open("a", encoding="utf-8")


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's log; what is none, such as one cut off by a stop, is left out."""
    path = folder / LOG
    if not path.exists():
        return []
    rows: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and type(row.get("step")) is int and "kind" in row:
            rows.append(row)
    return rows


def draw_curves(folder: Path) -> Path:
    """Draw loss and accuracy over the steps of a run into ``curves.png``, and return its path."""
    import matplotlib

    matplotlib.use("agg", force=False)
    from matplotlib.figure import Figure

    rows = read_journal(folder)
    train = [row for row in rows if row["kind"] == "train"]
    checks = [row for row in rows if row["kind"] == "validation"]
    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    losses.plot(*_smooth(train, "loss"), label="train, averaged", color="0.6", linewidth=1)
    losses.plot(
        [row["step"] for row in checks],
        [_number(row["loss"]) for row in checks],
        marker="o",
        markersize=3,
        label="validation",
    )
    losses.set(xlabel="step", ylabel="loss (nats)", title="Loss")
    losses.legend(frameon=False)
    for axis in checks[-1]["axes"] if checks else ():
        steps = [row["step"] for row in checks]
        values = [_number(row["axes"][axis]["accuracy"]) for row in checks]
        accuracies.plot(steps, values, marker="o", markersize=3, label=axis)
    accuracies.axhline(0.5, color="0.8", linestyle="--", linewidth=1)
    accuracies.set(xlabel="step", title="Accuracy against the majority, ties left out")
    if checks:
        accuracies.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for plot in (losses, accuracies):
        plot.spines[["top", "right"]].set_visible(False)
    path = folder / CURVES
    figure.savefig(path, dpi=120)
    return path


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _smooth(rows: list[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """Return steps and the running mean of a value over the last twentieth of the run."""
    width = max(1, len(rows) // 20)
    values = [row[name] for row in rows]
    means = [
        sum(values[max(0, end - width) : end]) / min(width, end)
        for end in range(1, len(values) + 1)
    ]
    return [row["step"] for row in rows], means


def _numbers(values: Mapping[str, Any], before: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{before}{name}/")
        elif isinstance(value, int | float):
            found[f"{before}{name}"] = float(value)
    return found
