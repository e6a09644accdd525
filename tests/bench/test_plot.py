"""Pictures hold the roofs and every row that was timed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from librehps.bench import plot
from librehps.bench.plot import check_can_draw, draw, write_plot
from librehps.bench.report import Report, Row
from librehps.bench.roofline import Roof
from librehps.errors import ConfigError, InputError


def report(*milliseconds: float | None) -> Report:
    values: dict[str, Any] = {
        "preset": "nano",
        "dtype": "float32",
        "lengths": [8],
        "passes": "forward",
        "implementation": "torch",
        "operations": 4_000_000,
        "bytes": 1_000_000,
    }
    rows = [
        Row(op=f"op{index}", verdict="timed" if ms else "red", median_ms=ms, **values)
        for index, ms in enumerate(milliseconds)
    ]
    return Report({"name": "a machine"}, [Roof("float32", 1e9, 1e10)], rows)


def test_points_and_roofs_are_where_they_belong() -> None:
    (axes,) = draw({"": report(2.0, None)}).axes
    lines = [line for line in axes.lines if len(line.get_xdata())]
    roof, point = lines
    assert list(roof.get_xdata()) == [2.0, 10.0, 20.0]
    assert list(roof.get_ydata()) == [2e9, 1e10, 1e10]
    assert (list(point.get_xdata()), list(point.get_ydata())) == ([4.0], [2e9])
    assert "copy 1 GB/s, float32 product 10 GFLOP/s" in roof.get_label()


def test_two_reports_are_told_apart() -> None:
    (axes,) = draw({"A": report(2.0), "B": report(1.0)}).axes
    points = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert [point.get_markerfacecolor() == "none" for point in points] == [False, True]
    assert "A, a machine" in axes.get_title()
    assert "B, a machine" in axes.get_title()


def test_a_png_is_written(tmp_path: Path) -> None:
    write_plot(tmp_path / "plot.png", {"": report(2.0)})
    with Image.open(tmp_path / "plot.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1320, 840))
    with pytest.raises(InputError):
        write_plot(tmp_path / "plot.png" / "x.png", {"": report(2.0)})


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    check_can_draw()
    monkeypatch.setattr(plot, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"librehps\[bench\]"):
        check_can_draw()
