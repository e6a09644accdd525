"""The lessons of nano: what is taught learns, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from librehps import LibreHPS
from librehps.hub import find_checkpoint

SCRIPT = Path(__file__).parents[2] / "scripts" / "teach_nano.py"


@pytest.mark.parametrize("judge", [False, True], ids=["tower", "whole"])
def test_what_is_taught_learns_and_the_rest_stays(judge: bool, tmp_path: Path) -> None:
    start = find_checkpoint("nano")
    how = ("--judge",) if judge else ("--keep", "0.5")
    few = ("--steps", "2", "--pictures", "8", "--test-every", "1", *how)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(start), str(tmp_path / "out"), *few],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["step 1", "step 2"]
    assert ("off on overall" in done.stdout) == judge
    before, after = (
        load_file(folder / "model.safetensors") for folder in (start, tmp_path / "out")
    )
    learned = [name for name in before if not before[name].equal(after[name])]
    parts = {name.split(".")[int(name.startswith("model."))] for name in learned}
    assert parts == ({"visual", "language_model", "multi_axis_head"} if judge else {"visual"})
    assert LibreHPS.from_pretrained(tmp_path / "out").model.trained
