"""What the charts show is what was measured, and what they leave out is said."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from librehps.calibration import reliability_diagram
from librehps.evaluate.charts import (
    Chart,
    confidence_chart,
    difference_chart,
    reliability_chart,
    score_chart,
)
from librehps.evaluate.confidence import accuracy_by_confidence
from librehps.evaluate.judged import JudgedPairs
from librehps.evaluate.tie_rules import Strict


def said(chart: Chart, css: str) -> list[str]:
    """Return what the marks of a class say, after parsing the chart as XML."""
    root = ElementTree.fromstring(chart.svg)
    parents = {child: node for node in root.iter() for child in node}
    found: list[str] = []
    for node in root.iter():
        if css not in node.get("class", "").split() or node.tag in ("polyline", "line"):
            continue
        title = node.find("title")
        title = parents[node].find("title") if title is None else title
        assert title is not None
        found.append(title.text or "")
    return found


def pairs_of(score_a: list[float], score_b: list[float], target: list[float]) -> JudgedPairs:
    gap = np.subtract(score_a, score_b)
    return JudgedPairs.of(gap, 1 / (1 + np.exp(-gap)), target, list(range(len(gap))))


def test_a_reliability_chart_has_a_mark_for_each_bin_of_each() -> None:
    stated, votes = [0.55, 0.9, 0.95, 0.7], [1.0, 1.0, 0.0, 0.5]
    diagrams = {
        "uncalibrated": reliability_diagram(stated, votes, quantity="winner"),
        "calibrated": reliability_diagram([0.6] * 4, votes, quantity="winner"),
    }
    chart = reliability_chart(diagrams)
    assert len(said(chart, "before")) == len(diagrams["uncalibrated"].bins)
    assert said(chart, "after") == ["calibrated: 0.600 stated, 0.625 observed, 4 pairs"]
    assert [key.says.split(",")[0] for key in chart.keys] == ["uncalibrated", "calibrated"]
    assert "ece_winner_15_equal_width 0.0250" in chart.keys[1].says
    alone = reliability_chart({"uncalibrated": diagrams["uncalibrated"]})
    assert said(alone, "after") == []


def test_accuracy_is_drawn_where_it_is_known() -> None:
    pairs = pairs_of([1.0, 3.0, 0.1], [0.0, 0.0, 0.0], [1.0, 0.0, 0.5])
    bands = accuracy_by_confidence(pairs.probability, pairs, tie_rule=Strict())
    chart = confidence_chart(bands, rule="strict", forecasts="uncalibrated")
    assert said(chart, "before") == [
        "0.7 to 0.8: 1.0000 right of 1 pairs",
        "0.9 to 1: 0.0000 right of 1 pairs",
    ]
    assert "accuracy under strict" in chart.svg


def test_differences_are_right_above_zero_and_wrong_below() -> None:
    score_a = [2.0, 0.0, 1e-9, 5.0, 1.0, 1.0]
    score_b = [0.0, 2.0, 0.0, 0.0, 1.0, 2.0]
    chart = difference_chart(pairs_of(score_a, score_b, [1.0, 0.0, 1.0, 0.5, 1.0, 1.0]))
    right, wrong = said(chart, "right"), said(chart, "wrong")
    assert [text.split(": ")[1] for text in right] == ["1 pairs", "2 pairs"]
    assert [text.split(": ")[1] for text in wrong] == ["1 pairs"]
    assert chart.note == (
        "1 pairs on which people tie are left out. 1 pairs with equal scores are left out."
    )


def test_scores_are_counted_by_what_people_prefer() -> None:
    pairs = pairs_of([3.0, 0.0, 1.0], [0.0, 3.0, 1.0], [0.8, 0.2, 0.5])
    chart = score_chart(np.array([3.0, 0.0, 1.0]), np.array([0.0, 3.0, 1.0]), pairs)
    assert said(chart, "preferred") == ["2.9 to 3: 2 pairs"]
    assert said(chart, "other") == ["0 to 0.1: 2 pairs"]
    assert "1 pairs on which people tie" in chart.note


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.sampled_from([0.0, 0.5, 0.7, 1.0])
        ),
        min_size=1,
        max_size=8,
    )
)
def test_every_pair_is_drawn_or_said_to_be_left_out(rows: list[tuple[float, float, float]]) -> None:
    score_a, score_b, target = (list(part) for part in zip(*rows, strict=True))
    gap = np.subtract(score_a, score_b)
    pairs = JudgedPairs.of(gap, (gap > 0) * 1.0, target, list(range(len(gap))))
    ties = int((pairs.preferred == 0).sum())
    for chart, marks, missing in (
        (difference_chart(pairs), ("right", "wrong"), ((pairs.preferred * gap) == 0).sum()),
        (score_chart(np.array(score_a), np.array(score_b), pairs), ("preferred",), ties),
    ):
        texts = [text for css in marks for text in said(chart, css)]
        counts = [int(text.split(": ")[1].removesuffix(" pairs")) for text in texts]
        assert sum(counts) == len(rows) - missing
        assert ("people tie" in chart.note) == (ties > 0)


@pytest.mark.parametrize("value", [0.0, 1e17, -5.0])
def test_constant_scores_can_be_drawn(value: float) -> None:
    pairs = pairs_of([value], [value], [1.0])
    ElementTree.fromstring(difference_chart(pairs).svg)
    drawn = score_chart(np.array([value]), np.array([value]), pairs)
    assert len(said(drawn, "preferred")) == len(said(drawn, "other")) == 1
