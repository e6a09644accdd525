"""The charts of a report: what is drawn of one axis of one benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from librehps.calibration import ReliabilityDiagram
from librehps.calibration.pairs import Numbers
from librehps.evaluate.confidence import ConfidenceBand
from librehps.evaluate.judged import JudgedPairs
from librehps.evaluate.svg import Panel, Scale

__all__ = [
    "Chart",
    "Key",
    "confidence_chart",
    "difference_chart",
    "reliability_chart",
    "score_chart",
]

NUM_BARS = 30


@dataclass(frozen=True)
class Key:
    """An entry of a chart's key.

    Args:
        css: Class of the marks that it names.
        says: What they show.
    """

    css: str
    says: str


@dataclass(frozen=True)
class Chart:
    """A chart with what is written around it.

    Args:
        title: Over it.
        svg: An ``<svg>`` element.
        keys: What its marks are.
        note: Under it: what to read from it, and what it leaves out.
    """

    title: str
    svg: str
    keys: tuple[Key, ...]
    note: str


def reliability_chart(diagrams: Mapping[str, ReliabilityDiagram]) -> Chart:
    """Draw what was stated of winners against what was observed, before and after calibration.

    Args:
        diagrams: Of the quantity ``"winner"``, by name; at most two.
    """
    title = "Are its probabilities true?"
    panel = Panel(
        x=Scale(0.5, 1.0, "stated probability of the winner"),
        y=Scale(0.0, 1.0, "share of the votes for it"),
        title=f"{title} Stated probability against votes; {', '.join(diagrams)}",
    )
    panel.line([(0.5, 0.5), (1.0, 1.0)], css="ideal")
    keys: list[Key] = []
    shapes: tuple[Literal["circle"], Literal["square"]] = ("circle", "square")
    styles = zip(("before", "after"), shapes, strict=True)
    for (name, diagram), (css, shape) in zip(diagrams.items(), styles, strict=False):
        panel.line([(part.confidence, part.observed) for part in diagram.bins], css=css)
        for part in diagram.bins:
            panel.point(
                part.confidence,
                part.observed,
                css=css,
                shape=shape,
                interval=(part.observed_low, part.observed_high),
                says=f"{name}: {part.confidence:.3f} stated, {part.observed:.3f} observed, "
                f"{part.count} pairs",
            )
        keys.append(Key(css, f"{name}, {diagram.error.name} {diagram.error.value:.4f}"))
    level = f"{next(iter(diagrams.values())).level:.0%}"
    note = f"On the dashed line they are. Whiskers are {level} intervals of Wilson, pair by pair."
    return Chart(title, panel.render(), tuple(keys), note)


def confidence_chart(bands: Sequence[ConfidenceBand], *, rule: str, forecasts: str) -> Chart:
    """Draw the accuracy of each band of confidence, with its interval over prompts.

    Args:
        bands: At least one.
        rule: Name of the tie rule.
        forecasts: Whose probabilities sort the pairs.
    """
    title = "Is it right more often where it is surer?"
    panel = Panel(
        x=Scale(0.5, 1.0, f"stated probability of the winner, {forecasts}"),
        y=Scale(0.0, 1.0, f"accuracy under {rule}"),
        title=f"{title} Accuracy by stated probability",
    )
    panel.line([(0.5, 0.5), (1.0, 1.0)], css="ideal")
    for band in bands:
        if band.accuracy is not None:
            found = band.accuracy
            panel.point(
                band.stated,
                found.value,
                css="after" if forecasts == "calibrated" else "before",
                shape="square" if forecasts == "calibrated" else "circle",
                interval=(found.low, found.high),
                says=f"{band.low:g} to {band.high:g}: {found.value:.4f} right of "
                f"{band.num_counted} pairs",
            )
    note = (
        "Whiskers are 95% intervals over prompts. The majority decides what is right, so that "
        "accuracy above the dashed line is no fault where votes are divided."
    )
    return Chart(title, panel.render(), (), note)


def difference_chart(pairs: JudgedPairs) -> Chart:
    """Draw how far the picture that people prefer is scored above the other one.

    Args:
        pairs: At least one; those on which people tie are left out.
    """
    title = "How far apart are its scores?"
    kept = pairs.preferred != 0
    gap = (pairs.difference * pairs.preferred)[kept]
    equal = int((gap == 0.0).sum())
    gap = gap[gap != 0.0]
    end = float(np.abs(gap).max(initial=0.0)) or 1.0
    # Zero is an edge to the last bit, so that no bar is half right.
    half = np.linspace(0.0, end, NUM_BARS // 2 + 1)
    edges = np.concatenate([-half[:0:-1], half])
    counts = np.histogram(gap, edges)[0]
    panel = _bars_panel(edges, counts, title, "score of the preferred picture less the other's")
    for place, count in enumerate(counts.tolist()):
        _bar(panel, edges, place, count, "wrong" if place < NUM_BARS // 2 else "right")
    keys = (Key("right", "as people said"), Key("wrong", "the wrong way round"))
    said = [_left_out(kept), f"{equal} pairs with equal scores are left out." if equal else ""]
    return Chart(title, panel.render(), keys, " ".join(filter(None, said)))


def score_chart(score_a: Numbers, score_b: Numbers, pairs: JudgedPairs) -> Chart:
    """Draw the scores of pictures that people prefer, and of those that they do not.

    Args:
        score_a: Score of the first of each pair, in log-odds, ``[N]``.
        score_b: Score of the second, ``[N]``.
        pairs: The pairs; those on which people tie are left out.
    """
    title = "Which scores does it give?"
    kept = pairs.preferred != 0
    first = (pairs.preferred > 0)[kept]
    preferred = np.where(first, score_a[kept], score_b[kept])
    other = np.where(first, score_b[kept], score_a[kept])
    every = np.concatenate([preferred, other])
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 0.0)
    if low == high:
        low, high = low - 1.0 - abs(low), high + 1.0 + abs(high)
    edges = np.linspace(low, high, NUM_BARS + 1)
    counts = [np.histogram(values, edges)[0] for values in (other, preferred)]
    panel = _bars_panel(edges, np.concatenate(counts), title, "score, in log-odds")
    for css, one in zip(("other", "preferred"), counts, strict=True):
        for place, count in enumerate(one.tolist()):
            _bar(panel, edges, place, count, css)
    keys = (Key("preferred", "preferred by people"), Key("other", "the other one"))
    note = f"Scores of different prompts are not on one scale. {_left_out(kept)}"
    return Chart(title, panel.render(), keys, note.strip())


def _bars_panel(edges: Numbers, counts: NDArray[np.int64], title: str, label: str) -> Panel:
    most = max(int(counts.max(initial=0)), 1)
    return Panel(
        x=Scale(float(edges[0]), float(edges[-1]), label),
        y=Scale(0.0, 1.05 * most, "pairs"),
        title=title,
    )


def _bar(panel: Panel, edges: Numbers, place: int, count: int, css: str) -> None:
    left, right = float(edges[place]), float(edges[place + 1])
    if count:
        says = f"{left:.3g} to {right:.3g}: {count} pairs"
        panel.bar(left=left, right=right, height=float(count), css=css, says=says)


def _left_out(kept: NDArray[np.bool_]) -> str:
    ties = int((~kept).sum())
    return f"{ties} pairs on which people tie are left out." if ties else ""
