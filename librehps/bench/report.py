"""Results as data: a row for each measurement, and what one must know to compare it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, cast

import torch

import librehps
from librehps.bench.peers import PEERS
from librehps.bench.roofline import Roof
from librehps.errors import InputError
from librehps.writing import into, write_bytes

__all__ = ["FORMAT", "Report", "Row", "machine", "read_report", "write_report"]

FORMAT = 1
MAX_BYTES = 16 * 2**20
_PACKAGES = ("torch", "triton", "flash-attn", "flash-attn-4")
_PEERS = tuple(dict.fromkeys(peer.distribution for peer in PEERS))
_COMMIT_TIMEOUT_S = 10
# No clock shows less, and nobody waits for more; all ratios of what lies between are numbers.
_SHORTEST_MS, _LONGEST_MS = 1e-12, 1e15

Verdict = Literal["timed", "red", "unavailable", "failed"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One implementation of one op at one shape.

    Args:
        op: Name of the op.
        preset: Size of the model whose widths it has.
        dtype: Of the tensors.
        lengths: Of the packed sequences.
        passes: ``"forward"``, or ``"both"`` for forward and backward.
        implementation: What ran.
        verdict: ``"red"`` where the gate stopped it.
        detail: Why there is no time.
        error: Relative root mean square of the gate.
        limit: Largest that passes.
        operations: Least work, in floating point operations.
        bytes: Least work, read and written.
        median_ms: Milliseconds of the middle round.
        best_ms: Of the fastest.
        worst_ms: Of the slowest.
        rounds: How many counted.
        roof_ms: Milliseconds that the measured rates allow for the least work.
        peak_bytes: Most memory at a time, over what was held before.
    """

    op: str
    preset: str
    dtype: str
    lengths: list[int]
    passes: Literal["forward", "both"]
    implementation: str
    verdict: Verdict
    detail: str = ""
    error: float | None = None
    limit: float | None = None
    operations: int | None = None
    bytes: int | None = None
    median_ms: float | None = None
    best_ms: float | None = None
    worst_ms: float | None = None
    rounds: int | None = None
    roof_ms: float | None = None
    peak_bytes: int | None = None

    @property
    def shape(self) -> tuple[str, str, str, tuple[int, ...], str]:
        """What a time must share with another to be compared with it."""
        return self.op, self.preset, self.dtype, tuple(self.lengths), self.passes

    @property
    def share_of_roof(self) -> float | None:
        """Which part of the possible speed it reaches."""
        if self.median_ms is None or self.roof_ms is None:
            return None
        return self.roof_ms / self.median_ms


@dataclass(frozen=True)
class Report:
    """All rows of a run.

    Args:
        machine: See `machine`.
        roofs: Measured rates, one for each dtype.
        rows: The measurements.
    """

    machine: Mapping[str, Any]
    roofs: list[Roof]
    rows: list[Row]

    def to_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {"benchmark": "ops", "format": FORMAT, **asdict(self)}


def machine(device: torch.device) -> dict[str, Any]:
    """Return the device, its driver and its load, versions, the commit and the date."""
    facts: dict[str, Any] = {
        "device": str(device),
        "name": _processor(),
        "threads": torch.get_num_threads(),
        # Of a machine that others use too, times say little.
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "driver": None,
        "capability": None,
    }
    if device.type == "cuda":
        properties: Any = torch.cuda.get_device_properties(device)
        facts |= {
            "name": str(properties.name),
            "capability": f"{properties.major}.{properties.minor}",
            "driver": _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
            "cuda": torch.version.cuda,
        }
    versions: dict[str, str | None] = {
        "librehps": librehps.__version__,
        "python": platform.python_version(),
    }
    for package in (*_PACKAGES, *_PEERS):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    folder = str(Path(__file__).parent)
    return facts | {
        "system": platform.platform(),
        "versions": versions,
        "commit": _output("git", "-C", folder, "describe", "--always", "--abbrev=12", "--dirty=+"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_report(path: Path, report: Report) -> None:
    """Write a report as JSON.

    Raises:
        InputError: It cannot be written (code ``out_unwritable``).
    """
    text = json.dumps(report.to_dict(), indent=1, allow_nan=False)
    with into(path):
        write_bytes(path, f"{text}\n".encode())


def read_report(path: Path) -> Report:
    """Read what `write_report` wrote.

    Raises:
        InputError: It cannot be read, is too large, or is not such a report (code
            ``bench_report``).
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise _refused(path, f"has more than {MAX_BYTES} bytes, the most that are read")
    try:
        document = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"is not JSON: {str(error)[:200]}") from error
    found = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    if (found.get("benchmark"), found.get("format")) != ("ops", FORMAT):
        raise _refused(path, "is no report of librehps bench ops in a format known here")
    try:
        roofs = [_build(Roof, item) for item in found["roofs"]]
        rows = [_build(Row, item) for item in found["rows"]]
        _check_times(roofs, rows)
        if not isinstance(found["machine"], dict):
            raise TypeError("machine is no object")
        # What could not be written again: no number, or half a character.
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _refused(path, f"has a part that is not understood: {str(error)[:200]}") from error
    return Report(cast("dict[str, Any]", found["machine"]), roofs, rows)


_PLAIN: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "float": (int, float),
    "int": (int,),
    "list[int]": (list,),
    "None": (type(None),),
}


def _build(kind: type[Any], item: Any) -> Any:
    """Return a dataclass from an object whose values have the types of the fields."""
    if not isinstance(item, dict):
        raise TypeError("a row is no object")
    values = cast("dict[str, Any]", item)
    for each in fields(kind):
        if each.name not in values:
            continue
        value, words = values[each.name], str(each.type).split(" | ")
        allowed = tuple(plain for word in words for plain in _PLAIN.get(word, (str,)))
        if not isinstance(value, allowed) or isinstance(value, bool):
            raise TypeError(f"{each.name} is {value!r:.60}")
        if isinstance(value, int | float) and not abs(value) <= sys.float_info.max:
            raise TypeError(f"{each.name} is no finite number")
        if isinstance(value, list) and not all(
            type(length) is int and length > 0 for length in cast("list[Any]", value)
        ):
            raise TypeError(f"{each.name} holds no lengths")
    return kind(**values)


def _check_times(roofs: list[Roof], rows: list[Row]) -> None:
    """Raise unless every row is there once, and what took time took some that can be."""
    for roof in roofs:
        if not min(roof.bytes_per_second, roof.operations_per_second) >= 1.0:
            raise TypeError(f"a rate of {roof.dtype} is less than 1 a second")
    seen: set[tuple[object, ...]] = set()
    for row in rows:
        key = (*row.shape, row.implementation)
        if key in seen:
            raise TypeError(f"{row.implementation} of {row.op} is there twice at one shape")
        seen.add(key)
        for name in ("median_ms", "best_ms", "worst_ms", "roof_ms"):
            value = getattr(row, name)
            if value is not None and not _SHORTEST_MS <= value <= _LONGEST_MS:
                raise TypeError(f"{name} is {value!r}")


def _refused(path: Path, sentence: str) -> InputError:
    return InputError(sentence, code="bench_report", item=str(path))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _output(*command: str) -> str | None:
    """Return the first line that a command prints; ``None`` where there is no such command."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_COMMIT_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else None
