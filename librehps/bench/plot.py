"""Results as a picture: every op against the measured roofline. matplotlib is loaded here."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from librehps.bench.report import Report, Row
from librehps.errors import ConfigError
from librehps.writing import into, write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["check_can_draw", "draw", "write_plot"]

_MARKERS = "osD^v<>PX*hp"
_DTYPE_LINES = ("-", "--", ":")


def check_can_draw() -> None:
    """Refuse before anything is measured.

    Raises:
        ConfigError: matplotlib is not installed (code ``matplotlib_missing``).
    """
    if find_spec("matplotlib") is None:
        raise ConfigError(
            "drawing needs matplotlib: pip install 'librehps[bench]'", code="matplotlib_missing"
        )


def draw(reports: Mapping[str, Report]) -> Figure:
    """Draw operations per second over operations per byte, with the roofs of each report.

    A marker stands for an op, a colour for an implementation; the second report's are hollow.

    Args:
        reports: One or two, by the names in the legend.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    axes: Any = figure.subplots()
    rows = [row for report in reports.values() for row in _timed(report.rows)]
    ops = list(dict.fromkeys(row.op for row in rows))
    implementations = list(dict.fromkeys(row.implementation for row in rows))
    for number, (label, report) in enumerate(reports.items()):
        _draw_roofs(axes, report, label if len(reports) > 1 else "", number)
        for row in _timed(report.rows):
            colour = f"C{implementations.index(row.implementation) % 10}"
            x, y = _point(row)
            axes.plot(
                x,
                y,
                linestyle="none",
                marker=_MARKERS[ops.index(row.op) % len(_MARKERS)],
                color=colour,
                markerfacecolor="none" if number else colour,
                markersize=4 + 2 * (row.passes == "both"),
                alpha=0.8,
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("least operations per least byte moved")
    axes.set_ylabel("least operations per second of the median round")
    for op in ops:
        marker = _MARKERS[ops.index(op) % len(_MARKERS)]
        axes.plot([], [], linestyle="none", marker=marker, color="0.3", label=op)
    for index, name in enumerate(implementations):
        axes.plot([], [], linestyle="none", marker="s", color=f"C{index % 10}", label=name)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
    axes.set_title(_title(reports), fontsize=9)
    return figure


def write_plot(path: Path, reports: Mapping[str, Report]) -> None:
    """Draw and write a PNG that appears whole or not at all.

    Raises:
        InputError: It cannot be written (code ``out_unwritable``).
    """
    picture = io.BytesIO()
    draw(reports).savefig(picture, format="png", dpi=120)
    with into(path):
        write_bytes(path, picture.getvalue())


def _draw_roofs(axes: Any, report: Report, label: str, number: int) -> None:
    for index, roof in enumerate(report.roofs):
        knee = roof.operations_per_second / roof.bytes_per_second
        reach = [knee, *(_point(row)[0] for row in _timed(report.rows))]
        x = [min(reach) / 2, knee, max(reach) * 2]
        y = [min(each * roof.bytes_per_second, roof.operations_per_second) for each in x]
        copy, product = roof.bytes_per_second / 1e9, roof.operations_per_second / 1e9
        words = f"{label} roof: copy {copy:.3g} GB/s, {roof.dtype} product {product:.3g} GFLOP/s"
        style = _DTYPE_LINES[index % len(_DTYPE_LINES)]
        axes.plot(x, y, style, color="0.6" if number else "0", linewidth=1, label=words.strip())


def _timed(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.median_ms and row.operations and row.bytes]


def _point(row: Row) -> tuple[float, float]:
    operations, moved, milliseconds = row.operations, row.bytes, row.median_ms
    if operations is None or moved is None or milliseconds is None:
        raise AssertionError("a row that was timed has no work")
    return operations / moved, 1e3 * operations / milliseconds


def _title(reports: Mapping[str, Report]) -> str:
    known = ("name", "commit", "date")
    return "\n".join(
        ", ".join([*filter(None, [label]), *(str(report.machine.get(name)) for name in known)])
        for label, report in reports.items()
    )
