"""Reliability diagrams as pictures; matplotlib is loaded when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from librehps.calibration.reliability import ReliabilityDiagram
from librehps.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_reliability"]


def draw_reliability(diagrams: Mapping[str, ReliabilityDiagram], *, title: str = "") -> Figure:
    """Draw what was stated against what was observed, and below it where the pairs lie.

    Args:
        diagrams: By the name that the legend gives them, such as before and after a calibration.
        title: Over the picture.

    Returns:
        A matplotlib figure; ``figure.savefig("reliability.png")`` writes it.

    Raises:
        ConfigError: There is no diagram (code ``metric_shape``), or they judge different
            quantities (``metric_setting``).
        BackendError: matplotlib is not installed (code ``matplotlib_missing``).
    """
    quantities = {diagram.error.quantity for diagram in diagrams.values()}
    if not quantities:
        raise ConfigError("there is no diagram to draw", code="metric_shape")
    if len(quantities) > 1:
        raise ConfigError(
            "diagrams of 'preference' and of 'winner' have different axes; draw them apart",
            code="metric_setting",
        )
    try:
        # A figure of its own needs no screen and no global state.
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise BackendError(
            'drawing needs matplotlib: pip install "librehps[train]"', code="matplotlib_missing"
        ) from error

    figure = Figure(figsize=(5, 6), layout="constrained")
    curves, masses = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    quantity = quantities.pop()
    least = 0.5 if quantity == "winner" else 0.0
    curves.plot([least, 1.0], [least, 1.0], color="0.8", linestyle="--", linewidth=1)
    for name, diagram in diagrams.items():
        _draw(curves, masses, name, diagram)
    whose = "winner is" if quantity == "winner" else "first is"
    curves.set(ylabel=f"share of votes: {whose} preferred", title=title, xlim=(least, 1.0))
    masses.set(xlabel=f"stated probability: {whose} preferred", ylabel="share of pairs")
    curves.legend(frameon=False, fontsize="small")
    for plot in (curves, masses):
        plot.spines[["top", "right"]].set_visible(False)
    return figure


def _draw(curves: Any, masses: Any, name: str, diagram: ReliabilityDiagram) -> None:
    """Draw one diagram: points with intervals, and the share of pairs as steps."""
    parts = diagram.bins
    confidence = [part.confidence for part in parts]
    observed = [part.observed for part in parts]
    lengths = [
        # Rounding may leave an end on the wrong side by a bit.
        [max(0.0, part.observed - part.observed_low) for part in parts],
        [max(0.0, part.observed_high - part.observed) for part in parts],
    ]
    drawn = curves.errorbar(
        confidence,
        observed,
        yerr=lengths,
        marker="o",
        markersize=3,
        linewidth=1,
        label=f"{name}, {diagram.error.name} {diagram.error.value:.3f}",
    )
    edges = [part.low for part in parts]
    masses.bar(
        edges,
        [part.share for part in parts],
        width=[part.high - part.low for part in parts],
        align="edge",
        alpha=0.4,
        # Bins of equal mass would run together otherwise.
        edgecolor="white",
        color=drawn.lines[0].get_color(),
    )
