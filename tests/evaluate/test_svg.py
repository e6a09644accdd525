"""Charts are XML, marks lie where their numbers say, and ticks are round numbers."""

from __future__ import annotations

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from librehps.errors import ConfigError
from librehps.evaluate.svg import HEIGHT, WIDTH, Panel, Scale, ticks

FINITE = st.floats(-1e6, 1e6)


def panel(label: str = "x") -> Panel:
    return Panel(x=Scale(0.0, 10.0, label), y=Scale(0.0, 1.0, "y"), title="a chart")


def marks(drawn: Panel, css: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(drawn.render())
    return [node for node in root.iter() if css in node.get("class", "").split()]


def test_a_mark_lies_where_its_numbers_say() -> None:
    drawn = panel()
    for place in (0.0, 5.0, 10.0):
        drawn.point(place, place / 10, css="before", says=f"at {place}")
    drawn.bar(left=0.0, right=10.0, height=0.5, css="right", says="half")
    left, middle, right = marks(drawn, "before")
    assert [float(node.get("cx", "")) for node in (left, middle, right)] == [52.0, 210.0, 368.0]
    # The y of a picture grows downwards.
    assert [float(node.get("cy", "")) for node in (left, middle, right)] == [230.0, 120.0, 10.0]
    (bar,) = marks(drawn, "right")
    box = [float(bar.get(name, "")) for name in ("x", "y", "width", "height")]
    assert box == [52.0, 120.0, 316.0, 110.0]
    assert [node.text for node in bar] == ["half"]


def test_an_interval_that_is_not_known_is_not_drawn() -> None:
    drawn = panel()
    drawn.point(1.0, 0.5, css="before", says="known", interval=(0.25, 0.75))
    drawn.point(2.0, 0.5, css="before", says="unknown", interval=(math.nan, math.nan))
    drawn.point(3.0, 0.5, css="before", says="half", interval=(0.25, math.nan), shape="square")
    (whisker,) = marks(drawn, "whisker")
    assert [whisker.get(name) for name in ("y1", "y2")] == ["175", "65"]
    assert len(marks(drawn, "dot")) == 3


@settings(max_examples=40)
@given(st.text(st.characters(exclude_categories=()), max_size=30))
def test_whatever_it_says_it_is_xml_that_says_it(text: str) -> None:
    drawn = panel(text + '"</text><script>')
    drawn.line([(0.0, 0.0), (10.0, 1.0)], css="ideal")
    drawn.point(1.0, 0.5, css="before", says=text + "]]>'\"<!--")
    root = ElementTree.fromstring(drawn.render())
    assert {node.tag for node in root.iter()} == {
        *("svg", "g", "line", "polyline", "circle", "title", "text")
    }
    assert "http" not in drawn.render().replace(text, "")


@settings(max_examples=40)
@given(FINITE, st.floats(1e-3, 1e6))
def test_ticks_are_few_round_numbers_on_the_scale(low: float, length: float) -> None:
    scale = Scale(low, low + length, "")
    found = ticks(scale)
    assert 1 <= len(found) <= 6
    slack = 1e-6 * length
    assert all(scale.low - slack <= value <= scale.high + slack for value in found)
    gaps = [later - earlier for earlier, later in pairwise(found)]
    assert all(gap == pytest.approx(gaps[0], rel=1e-3) for gap in gaps)


def test_ticks_of_a_probability() -> None:
    assert ticks(Scale(0.0, 1.0, "")) == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert [f"{value:g}" for value in ticks(Scale(-1.0, 1.0, ""))] == [
        "-1",
        "-0.5",
        "0",
        "0.5",
        "1",
    ]


@settings(max_examples=40)
@given(FINITE, FINITE)
def test_nothing_is_drawn_outside(x: float, y: float) -> None:
    drawn = panel()
    drawn.point(x, y, css="before", says="", interval=(y - 1.0, y + 1.0))
    (dot,) = marks(drawn, "dot")
    assert 0.0 <= float(dot.get("cx", "")) <= WIDTH
    assert 0.0 <= float(dot.get("cy", "")) <= HEIGHT


def test_what_has_no_place_is_refused() -> None:
    for low, high in ((1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.inf), (-1e308, 1e308)):
        with pytest.raises(ConfigError) as caught:
            Scale(low, high, "")
        assert caught.value.code == "chart_scale"
    with pytest.raises(ConfigError) as caught:
        panel().point(math.nan, 0.5, css="before", says="")
    assert caught.value.code == "chart_value"
