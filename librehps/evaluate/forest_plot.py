"""Estimates with their intervals as SVG, a row for each: its name, the interval, and the number.

The elements have the classes that charts on a page have, whose colours are the page's; a file of
its own brings its colours with it, for light and dark.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from librehps.evaluate.svg import Scale, ticks
from librehps.evaluate.visible_text import visible

__all__ = ["Estimate", "forest_plot"]

#: Most rows that are drawn.
MAX_ROWS = 60

WIDTH = 760.0
_ROW, _TOP, _BOTTOM = 26.0, 10.0, 46.0
# Room for the names on the left, and for the numbers on the right, in px.
_NAMES, _NUMBERS, _GAP = 200.0, 170.0, 14.0
_RADIUS = 4.5
_LETTERS = 28

# What a page says in its own style sheet, for a file that stands alone. Without variables, which
# programs that draw such files do not know.
_STYLE = """
svg { background: #ffffff; }
text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: #5c6068; }
text.name { fill: #1d1f23; }
.grid { stroke: #dfe0dc; }
.axis { stroke: #5c6068; }
.ideal { stroke: #5c6068; stroke-dasharray: 4 4; }
.whisker { stroke: #2a6fbb; stroke-width: 2; opacity: .55; }
.dot { fill: #2a6fbb; }
@media (prefers-color-scheme: dark) {
  svg { background: #1d2024; }
  text, text.name { fill: #e7e8ea; }
  .grid { stroke: #33373d; }
  .axis, .ideal { stroke: #a0a5ae; }
  .whisker { stroke: #6aa9ea; }
  .dot { fill: #6aa9ea; }
}
"""


@dataclass(frozen=True)
class Estimate:
    """A row of the plot.

    Args:
        name: On the left; a long one is cut.
        value: Where its dot is; NaN where nothing is known, which is said instead.
        low: Where its interval begins; NaN where it is not known.
        high: Where it ends.
    """

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan


def forest_plot(
    rows: Sequence[Estimate], *, label: str, title: str, zero: bool = False, alone: bool = False
) -> str:
    """Return a plot as an ``<svg>`` element.

    Args:
        rows: From top to bottom; of more than 60 the first are drawn, and how many are not is said.
        label: What the scale shows, with the unit.
        title: What the plot shows, for those who cannot see it.
        zero: Whether to mark 0.
        alone: Whether it is a file of its own, with a namespace and colours, or stands in a page.
    """
    shown = rows[:MAX_ROWS]
    floor = _TOP + _ROW * len(shown)
    height = floor + _BOTTOM + (18.0 if len(rows) > len(shown) else 0.0)
    root = ElementTree.Element(
        "svg",
        {
            "class": "chart forest",
            "viewBox": f"0 0 {WIDTH:g} {height:g}",
            "role": "img",
            "aria-label": visible(title),
        },
    )
    if alone:
        root.set("xmlns", "http://www.w3.org/2000/svg")
        ElementTree.SubElement(root, "style").text = _STYLE
    scale = _scale(shown, label, zero=zero)
    for tick in ticks(scale, most=9):
        across = _across(scale, tick)
        _line(root, "grid", (across, _TOP), (across, floor))
        _text(root, "number", (across, floor + 16.0), f"{tick:g}", anchor="middle")
    _line(root, "axis", (_NAMES, floor), (WIDTH - _NUMBERS, floor))
    if zero:
        across = _across(scale, 0.0)
        _line(root, "line ideal", (across, _TOP), (across, floor))
    middle = (_NAMES + WIDTH - _NUMBERS) / 2
    _text(root, "label", (middle, floor + 36.0), label, anchor="middle")
    for place, row in enumerate(shown):
        _row(root, scale, row, _TOP + _ROW * (place + 0.5))
    if len(rows) > len(shown):
        rest = f"{len(rows) - len(shown)} more are in the table"
        _text(root, "label", (middle, floor + 56.0), rest, anchor="middle")
    return ElementTree.tostring(root, encoding="unicode")


def _row(root: ElementTree.Element, scale: Scale, row: Estimate, down: float) -> None:
    group = ElementTree.SubElement(root, "g")
    says, known = _says(row), not (math.isnan(row.low) or math.isnan(row.high))
    ElementTree.SubElement(group, "title").text = visible(f"{row.name}: {says}")
    _text(group, "name", (_NAMES - _GAP, down + 4.0), _cut(row.name), anchor="end")
    _text(group, "number", (WIDTH - _NUMBERS + _GAP, down + 4.0), says, anchor="start")
    if math.isnan(row.value):
        return
    if known:
        ends = ((_across(scale, end), down) for end in (row.low, row.high))
        _line(group, "whisker before", *ends)
    dot = {"cx": _px(_across(scale, row.value)), "cy": _px(down), "r": _px(_RADIUS)}
    ElementTree.SubElement(group, "circle", {"class": "dot before", **dot})


def _says(row: Estimate) -> str:
    if math.isnan(row.value):
        return "not compared"
    if math.isnan(row.low) or math.isnan(row.high):
        return f"{row.value:.2f}"
    return f"{row.value:.2f} ({row.low:.2f} to {row.high:.2f})"


def _scale(rows: Sequence[Estimate], label: str, *, zero: bool) -> Scale:
    """Return a scale that holds every number, with some room at both ends."""
    every = [end for row in rows for end in (row.value, row.low, row.high) if math.isfinite(end)]
    if zero or not every:
        every.append(0.0)
    low, high = min(every), max(every)
    room = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    return Scale(low - room, high + room, label)


def _across(scale: Scale, value: float) -> float:
    return _NAMES + scale.place(value) * (WIDTH - _NAMES - _NUMBERS)


def _line(
    root: ElementTree.Element, css: str, begin: tuple[float, float], end: tuple[float, float]
) -> None:
    ends = {"x1": begin[0], "y1": begin[1], "x2": end[0], "y2": end[1]}
    ElementTree.SubElement(
        root, "line", {"class": css, **{name: _px(place) for name, place in ends.items()}}
    )


def _text(
    root: ElementTree.Element, css: str, at: tuple[float, float], says: str, *, anchor: str
) -> None:
    place = {"class": css, "x": _px(at[0]), "y": _px(at[1]), "text-anchor": anchor}
    ElementTree.SubElement(root, "text", place).text = visible(says)


def _cut(name: str) -> str:
    """Return as much of a name as there is room for; wide letters take the room of two."""
    shown, room = "", _LETTERS
    for letter in visible(name):
        room -= 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if room < 0:
            return f"{shown[:-1]}…"
        shown += letter
    return shown


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
