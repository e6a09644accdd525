"""A chart as SVG that stands within a page: two scales, marks on them, and the axes.

Colours are the page's: every mark has a class and no colour of its own, so that a page in the dark
recolours its charts. A mark says in words what it shows, as its ``<title>``.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from librehps.errors import ConfigError
from librehps.evaluate.visible_text import visible

__all__ = ["Panel", "Scale", "ticks"]

WIDTH, HEIGHT = 380.0, 270.0
# Room for the numbers and the words of the axes, in px.
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 10.0, 40.0
_RADIUS = 3.5


@dataclass(frozen=True)
class Scale:
    """An axis of a chart.

    Args:
        low: Number at its beginning.
        high: Number at its end.
        label: What it shows, with the unit.

    Raises:
        ConfigError: Ends that are not finite, or not in order (code ``chart_scale``).
    """

    low: float
    high: float
    label: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.high - self.low) and self.low < self.high):
            raise ConfigError(
                f"a scale from {self.low} to {self.high} has no length that can be drawn",
                code="chart_scale",
            )

    def place(self, value: float) -> float:
        """Return where a number lies, 0 at the beginning and 1 at the end; never outside.

        Raises:
            ConfigError: It is not finite (code ``chart_value``).
        """
        if not math.isfinite(value):
            raise ConfigError(f"{value} has no place on a chart", code="chart_value")
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


def ticks(scale: Scale, *, most: int = 6) -> list[float]:
    """Return round numbers on a scale: multiples of 1, 2 or 5 times a power of ten.

    Args:
        scale: Which.
        most: Most numbers, at least 2.
    """
    rough = (scale.high - scale.low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    # Zero times a step below it would be "-0".
    return [number * step + 0.0 for number in range(first, last + 1)]


class Panel:
    """A chart that marks are put on; the later ones lie over the earlier ones.

    Args:
        x: Scale from left to right.
        y: Scale from bottom to top.
        title: What the chart shows, for those who cannot see it.
    """

    def __init__(self, *, x: Scale, y: Scale, title: str) -> None:
        self.x = x
        self.y = y
        self.title = title
        self._marks: list[str] = []

    def line(self, points: Sequence[tuple[float, float]], *, css: str) -> None:
        """Draw a line through points, in the units of the scales.

        Args:
            points: From the first to the last.
            css: Class of the mark.
        """
        path = " ".join(f"{_short(left)},{_short(top)}" for left, top in map(self._at, points))
        self._marks.append(_tag("polyline", {"class": f"line {css}", "points": path}))

    def bar(self, *, left: float, right: float, height: float, css: str, says: str) -> None:
        """Draw a bar that stands on the beginning of the y scale.

        Args:
            left: Where it begins.
            right: Where it ends.
            height: How far it reaches, on the y scale.
            css: Class of the mark.
            says: What it shows, in words.
        """
        begin, top = self._at((left, height))
        end, floor = self._at((right, self.y.low))
        box = {"x": begin, "y": top, "width": end - begin, "height": floor - top}
        self._marks.append(_tag("rect", {"class": f"bar {css}", **box}, _title(says)))

    def point(
        self,
        x: float,
        y: float,
        *,
        css: str,
        says: str,
        interval: tuple[float, float] | None = None,
        shape: Literal["circle", "square"] = "circle",
    ) -> None:
        """Draw a point, and the interval of its y.

        Args:
            x: Its place on the x scale.
            y: Its place on the y scale.
            css: Class of the mark.
            says: What it shows, in words.
            interval: Ends of the interval; ``None``, or ends that are NaN, where it is not known.
            shape: Tells marks apart where colours do not.
        """
        left, top = self._at((x, y))
        body = ""
        if interval is not None and not any(map(math.isnan, interval)):
            (_, low), (_, high) = self._at((x, interval[0])), self._at((x, interval[1]))
            ends = {"x1": left, "y1": low, "x2": left, "y2": high}
            body += _tag("line", {"class": f"whisker {css}", **ends})
        if shape == "circle":
            place = {"cx": left, "cy": top, "r": _RADIUS}
            body += _tag("circle", {"class": f"dot {css}", **place})
        else:
            corner = {"x": left - _RADIUS, "y": top - _RADIUS}
            size = {"width": 2 * _RADIUS, "height": 2 * _RADIUS}
            body += _tag("rect", {"class": f"dot {css}", **corner, **size})
        self._marks.append(_tag("g", {}, _title(says) + body))

    def render(self) -> str:
        """Return the chart as an ``<svg>`` element, without a namespace: pages need none."""
        frame = {"class": "chart", "viewBox": f"0 0 {WIDTH:g} {HEIGHT:g}", "role": "img"}
        name = {"aria-label": self.title}
        return _tag("svg", {**frame, **name}, "".join([self._grid(), *self._marks, self._words()]))

    def _at(self, point: tuple[float, float]) -> tuple[float, float]:
        """Return a point in px from the upper left corner."""
        across, up = self.x.place(point[0]), self.y.place(point[1])
        wide, tall = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
        return _LEFT + across * wide, _TOP + (1.0 - up) * tall

    def _grid(self) -> str:
        lines: list[str] = []
        for value in ticks(self.y):
            left, top = self._at((self.x.low, value))
            ends = {"x1": left, "y1": top, "x2": WIDTH - _RIGHT, "y2": top}
            lines.append(_tag("line", {"class": "grid", **ends}))
            spot = {"class": "number", "x": left - 6, "y": top + 4, "text-anchor": "end"}
            lines.append(_tag("text", spot, f"{value:g}"))
        for value in ticks(self.x):
            left, floor = self._at((value, self.y.low))
            ends = {"x1": left, "y1": floor, "x2": left, "y2": floor + 4}
            lines.append(_tag("line", {"class": "axis", **ends}))
            spot = {"class": "number", "x": left, "y": floor + 16, "text-anchor": "middle"}
            lines.append(_tag("text", spot, f"{value:g}"))
        left, floor = self._at((self.x.low, self.y.low))
        base = {"x1": left, "y1": floor, "x2": WIDTH - _RIGHT, "y2": floor}
        return "".join([*lines, _tag("line", {"class": "axis", **base})])

    def _words(self) -> str:
        across = (WIDTH + _LEFT - _RIGHT) / 2
        up = (HEIGHT + _TOP - _BOTTOM) / 2
        below = {"class": "label", "x": across, "y": HEIGHT - 6, "text-anchor": "middle"}
        beside = {"class": "label", "text-anchor": "middle", "transform": f"rotate(-90 12 {up:g})"}
        return _tag("text", below, html.escape(visible(self.x.label))) + _tag(
            "text", {**beside, "x": 12.0, "y": up}, html.escape(visible(self.y.label))
        )


def _tag(name: str, attributes: Mapping[str, str | float], body: str = "") -> str:
    """Return an element; the body must be escaped already."""
    written = "".join(
        f' {key}="{html.escape(visible(value)) if isinstance(value, str) else _short(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{written}>{body}</{name}>"


def _title(says: str) -> str:
    return _tag("title", {}, html.escape(visible(says)))


def _short(value: float) -> str:
    """Return px to a tenth: nobody sees more, and it bounds the size of the page."""
    return f"{value:.1f}".removesuffix(".0")
