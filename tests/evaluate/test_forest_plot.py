"""The plot is XML, its marks lie where the numbers say, and it says what it leaves out."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from librehps.evaluate.forest_plot import MAX_ROWS, WIDTH, Estimate, forest_plot


def plot(rows: list[Estimate], *, zero: bool = False, alone: bool = False) -> ElementTree.Element:
    return ElementTree.fromstring(
        forest_plot(rows, label="units", title="a plot", zero=zero, alone=alone)
    )


def marks(root: ElementTree.Element, css: str) -> list[ElementTree.Element]:
    return [node for node in root.iter() if css in node.get("class", "").split()]


def test_marks_lie_where_their_numbers_say() -> None:
    rows = [Estimate("a", 1.0, 0.5, 1.5), Estimate("b", -1.0, -1.5, -0.5), Estimate("c", 0.0)]
    root = plot(rows, zero=True)
    left, right, middle = (float(dot.get("cx", "")) for dot in marks(root, "dot"))
    assert right < middle < left
    assert middle == pytest.approx((left + right) / 2, abs=0.1)
    first, second = marks(root, "whisker")
    assert float(first.get("x1", "")) == pytest.approx((left + middle) / 2, abs=0.2)
    assert float(second.get("x1", "")) < right < float(second.get("x2", ""))
    (zero,) = marks(root, "ideal")
    assert float(zero.get("x1", "")) == pytest.approx(middle, abs=0.1)
    assert [node.text for node in marks(root, "name")] == ["a", "b", "c"]
    texts = [node.text for node in root.iter("text")]
    assert "1.00 (0.50 to 1.50)" in texts
    assert "0.00" in texts


def test_what_is_not_known_is_not_drawn_but_said() -> None:
    root = plot([Estimate("a", math.nan), Estimate("b", 2.0, math.nan, math.nan)])
    assert len(marks(root, "dot")) == 1
    assert marks(root, "whisker") == []
    assert "not compared" in [node.text for node in root.iter("text")]
    # Nothing at all is a plot, too.
    assert marks(plot([Estimate("a", math.nan)]), "dot") == []
    assert marks(plot([]), "dot") == []


def test_a_file_of_its_own_brings_its_colours() -> None:
    text = forest_plot([Estimate("a", 1.0)], label="x", title="t", alone=True)
    assert text.startswith('<svg class="chart forest"')
    assert 'xmlns="http://www.w3.org/2000/svg"' in text
    assert "prefers-color-scheme: dark" in text
    # Programs that draw such files know no variables.
    assert "var(" not in text
    inner = forest_plot([Estimate("a", 1.0)], label="x", title="t")
    assert "xmlns" not in inner
    assert "<style" not in inner


def test_of_too_many_rows_the_rest_is_counted() -> None:
    root = plot([Estimate(str(place), float(place)) for place in range(MAX_ROWS + 5)])
    assert len(marks(root, "dot")) == MAX_ROWS
    assert "5 more are in the table" in [node.text for node in root.iter("text")]


def test_a_long_name_is_cut_and_its_title_has_it_whole() -> None:
    name = "generator " * 9
    root = plot([Estimate(name, 0.0), Estimate("文" * 30, 1.0)])
    shown = [node.text or "" for node in marks(root, "name")]
    assert [len(text) for text in shown] == [28, 14]
    assert all(text.endswith("…") for text in shown)
    assert next(node.text or "" for node in root.iter("title")).startswith(name)


FINITE = st.floats(-1e9, 1e9)


@settings(max_examples=60)
@given(
    st.lists(
        st.builds(
            Estimate,
            st.text(st.characters(exclude_categories=()), max_size=40),
            FINITE | st.just(math.nan),
            FINITE | st.just(math.nan),
            FINITE | st.just(math.nan),
        ),
        max_size=5,
    ),
    st.booleans(),
)
def test_whatever_it_is_given_it_is_xml_within_its_width(rows: list[Estimate], zero: bool) -> None:
    root = plot(rows, zero=zero)
    assert {node.tag for node in root.iter()} <= {"svg", "g", "line", "circle", "title", "text"}
    for node in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert 0.0 <= float(node.get(name, "0")) <= WIDTH
