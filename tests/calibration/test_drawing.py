"""The picture shows the diagram's own numbers, and needs matplotlib only when it is drawn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from librehps.calibration import draw_reliability, reliability_diagram
from librehps.errors import BackendError, ConfigError


def diagram(**choice: Any) -> Any:
    rng = np.random.default_rng(0)
    stated = rng.random(400)
    return reliability_diagram(stated, rng.binomial(1, stated) * 1.0, num_bins=8, **choice)


def test_the_points_are_the_bins_and_the_file_is_a_picture(tmp_path: Path) -> None:
    before, after = diagram(), diagram(binning="mass")
    figure = draw_reliability({"before": before, "after": after}, title="hpdv3")
    axes: list[Any] = figure.axes
    curves, masses = axes
    drawn = [line for line in curves.lines if line.get_marker() == "o"]
    assert [line.get_xdata().tolist() for line in drawn] == [
        [part.confidence for part in one.bins] for one in (before, after)
    ]
    assert drawn[0].get_ydata().tolist() == [part.observed for part in before.bins]
    bars = np.array(curves.containers[0].lines[2][0].get_segments())[:, :, 1]
    ends = [[part.observed_low, part.observed_high] for part in before.bins]
    np.testing.assert_allclose(bars, ends, atol=1e-12)
    assert [bar.get_x() for bar in masses.patches] == [
        part.low for one in (before, after) for part in one.bins
    ]
    legend = [text.get_text() for text in curves.get_legend().get_texts()]
    assert legend[0] == f"before, {before.error.name} {before.error.value:.3f}"
    heights = [bar.get_height() for bar in masses.patches]
    assert sum(heights) == pytest.approx(2.0)
    assert curves.get_title() == "hpdv3"
    figure.savefig(tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").read_bytes()[:4] == b"\x89PNG"


def test_what_cannot_share_a_picture_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        draw_reliability({})
    assert caught.value.code == "metric_shape"
    with pytest.raises(ConfigError) as caught:
        draw_reliability({"a": diagram(), "b": diagram(quantity="winner")})
    assert caught.value.code == "metric_setting"


def test_matplotlib_is_named_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(BackendError, match=r"librehps\[train\]") as caught:
        draw_reliability({"a": diagram()})
    assert caught.value.code == "matplotlib_missing"


def test_importing_and_applying_need_numpy_alone() -> None:
    code = (
        "import sys; from librehps.calibration import Platt, load_platt_calibrator\n"
        "import librehps.evaluate.calibration\n"
        "from librehps.results import AxisScore\n"
        "Platt(1.0).probability(AxisScore(1.0), AxisScore(0.0))\n"
        "heavy = {'torch', 'scipy', 'matplotlib', 'transformers', 'PIL'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
