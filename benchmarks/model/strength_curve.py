"""Draw the accuracy against the strength of each fault, from what ``synthetic_world`` wrote.

python -m benchmarks.model.strength_curve benchmarks/results/NAME.json --out PICTURE.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from librehps.data.synthetic.faults import FAULT_AXES, FAULTS


def main() -> None:
    """Read and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    draw(json.loads(options.results.read_text("utf-8"))["strengths"], options.out)


def draw(strengths: dict[str, dict[str, float]], out: Path) -> None:
    """Draw a panel for each axis with a line for each fault.

    Args:
        strengths: Accuracy by fault and strength.
        out: PNG file to write.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure: Any
    panels: Any
    figure, panels = plt.subplots(1, len(FAULT_AXES), figsize=(11, 4.1), sharey=True)
    for panel, axis in zip(panels, FAULT_AXES, strict=True):
        for kind in (kind for kind, hit in FAULTS.items() if hit == axis and kind in strengths):
            points = sorted((float(at), value) for at, value in strengths[kind].items())
            panel.plot(*zip(*points, strict=True), marker="o", markersize=3, label=kind)
        panel.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
        panel.set(title=axis, xlabel="strength of the fault", ylim=(0.3, 1.02))
        panel.legend(
            fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=3, frameon=False
        )
    panels[0].set_ylabel("better picture scores higher")
    figure.tight_layout()
    figure.savefig(out, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
