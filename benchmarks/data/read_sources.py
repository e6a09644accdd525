"""Read made-up data sets of several sizes, each in a process of its own, and note the peak memory.

    python -m benchmarks.data.read_sources [--rows N ...] [--table-rows N ...] [--out JSON]

The files have the published layouts and made-up rows; a row in the middle is damaged, and has to be
reported with its line. Memory is the resident set: before the first row, and at most. What a
reader may take is the difference, and it must not grow with the file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.model.full_size import commit, describe_machine

MB = 1e6
PROMPT = "a photograph of a cat beside a window, soft light, 35 mm, highly detailed, number"
# Rows with images are a few hundred kilobytes each; more of them say nothing else.
IMAGE_ROWS = 2000
IMAGE_BYTES = 100_000


def hpdv3_rows(count: int) -> Iterator[str]:
    for number in range(count):
        row = {
            "prompt": f"{PROMPT} {number}",
            "choice_dist": [number % 19, 19 - number % 19],
            "confidence": None if number % 3 else 0.9,
            "path1": f"images/{number:036d}.jpg",
            "path2": f"images/{number + 1:036d}.jpg",
            "model1": "flux",
            "model2": "sdxl",
        }
        yield "nope" if number == count // 2 else json.dumps(row, indent=2)


def table_rows(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {
            "key": f"pair-{number}",
            "prompt": f"{PROMPT} {number}",
            "image_a": f"images/{number}a.jpg",
            "image_b": "/etc/passwd" if number == count // 2 else f"images/{number}b.jpg",
            "target": number % 20 / 19,
        }


def write(kind: str, count: int, path: Path) -> None:
    """Write a file of a kind, row by row."""
    if kind == "hpdv3":
        with path.open("w", encoding="utf-8") as file:
            for number, row in enumerate(hpdv3_rows(count)):
                file.write(("[\n" if number == 0 else ",\n") + row)
            file.write("\n]\n")
    elif kind == "jsonl":
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in table_rows(count))
    elif kind == "csv":
        import csv

        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(next(table_rows(1))))
            writer.writeheader()
            writer.writerows(table_rows(count))
    else:
        write_parquet(kind, count, path)


def write_parquet(kind: str, count: int, path: Path) -> None:
    """Write tables, or pairs with the bytes of their images, a row group at a time."""
    import pyarrow as arrow
    from pyarrow import parquet

    rows = table_rows(count) if kind == "parquet" else pick_a_pic_rows(count)
    # A page holds as many rows as are written at once; with images, `datasets` writes a hundred.
    size = 10_000 if kind == "parquet" else 100
    group: list[dict[str, Any]] = []
    writer: Any = None
    for number, row in enumerate(rows):
        group.append(row)
        if len(group) == size or number == count - 1:
            table = arrow.Table.from_pylist(group)
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table, row_group_size=size)
            group = []
    writer.close()


def pick_a_pic_rows(count: int) -> Iterator[dict[str, Any]]:
    # What looks like a JPEG is kept; whether it can be decoded shows when it is opened.
    head, filler = b"\xff\xd8\xff\xe0", os.urandom(IMAGE_BYTES)
    for number in range(count):
        sides = [head + number.to_bytes(4, "big") + bytes([side]) + filler for side in (0, 1)]
        label = None if number == count // 2 else float(number % 2)
        yield {
            "caption": f"{PROMPT} {number}",
            "jpg_0": sides[0],
            "jpg_1": sides[1],
            "label_0": label,
            "label_1": 1.0 - float(number % 2),
            "has_label": True,
            "are_different": True,
        }


def memory(name: str) -> int:
    """Return the resident set of this process now (VmRSS) or at most (VmHWM), in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def forget_peak() -> int:
    """Let the peak begin anew, since imports have one of their own; return what is held now."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def work(kind: str, path: Path) -> dict[str, Any]:
    """Read a file in this process and return what it took."""
    from librehps.data.sources import read

    before = forget_peak()
    begun, computed = time.perf_counter(), time.process_time()
    reading = read(kind, path, image_cache=path.parent / "images")
    for _ in reading:
        pass
    seconds, computed = time.perf_counter() - begun, time.process_time() - computed
    peak = memory("VmHWM")
    report = reading.report
    return {
        "rows": report.rows,
        "records": dict(report.records),
        "bad_rows": [vars(row) for row in report.bad_rows],
        "file_mb": path.stat().st_size / MB,
        "seconds": seconds,
        "cpu_seconds": computed,
        "rows_per_cpu_second": report.rows / computed,
        "before_mb": before / MB,
        "peak_mb": peak / MB,
        "taken_mb": (peak - before) / MB,
    }


def measure(kind: str, count: int) -> dict[str, Any]:
    """Write a file, read it in a process of its own, and check what was found."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows.{'json' if kind == 'hpdv3' else kind}"
        write(kind, count, path)
        command = [sys.executable, "-m", "benchmarks.data.read_sources"]
        command += ["--worker", kind, "--file", str(path)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    (bad,) = found["bad_rows"]
    assert (found["rows"], bad["row"]) == (count, count // 2), found
    assert found["records"] == {"comparison": count - 1}, found
    return {"source": kind, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--table-rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--out", type=Path, help="where the report goes as JSON")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(work(arguments.worker, arguments.file)))
        return
    asked = [("hpdv3", count) for count in arguments.rows]
    asked += [(kind, n) for kind in ("jsonl", "csv", "parquet") for n in arguments.table_rows]
    runs: list[dict[str, Any]] = []
    for kind, count in [*asked, ("pickapic", IMAGE_ROWS // 10), ("pickapic", IMAGE_ROWS)]:
        runs.append(measure(kind, count))
        print(
            f"{kind:9} {count:9} rows {runs[-1]['file_mb']:8.1f} MB on disk, "
            f"{runs[-1]['taken_mb']:6.1f} MB taken, "
            f"{runs[-1]['rows_per_cpu_second']:8.0f} rows per CPU second",
            file=sys.stderr,
        )
    report = {
        "benchmark": "read_sources",
        "command": "python -m " + " ".join(["benchmarks.data.read_sources", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": describe_machine(),
        "load_average": os.getloadavg()[0],
        "versions": {"python": platform.python_version(), "pyarrow": version("pyarrow")},
        "runs": runs,
    }
    written = json.dumps(report, indent=2)
    print(written)
    if arguments.out:
        arguments.out.write_text(written + "\n")


if __name__ == "__main__":
    main()
