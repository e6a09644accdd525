"""Nano can be remade: every stage of its script runs, and none runs twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from librehps import LibreHPS
from librehps.hub import find_checkpoint

ROOT = Path(__file__).parents[2]


# Twenty-odd runs, most of them with two processes that start anew.
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_stage_runs_and_none_runs_twice(tmp_path: Path) -> None:
    command = ["bash", str(ROOT / "scripts" / "train_nano.sh"), str(tmp_path / "few")]
    environment = os.environ | {"SHRINK": "1000", "PYTHON": sys.executable}
    first, again = (
        subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    settled = tmp_path / "few" / "settled"
    assert first.stdout.splitlines()[-1] == f"trained: {settled}"
    stages = {path.name for path in (tmp_path / "few").iterdir() if path.name.isdigit()}
    assert stages == {str(stage) for stage in range(1, 23)}
    assert LibreHPS.from_pretrained(settled).model.trained
    made, shipped = (
        json.loads((folder / "config.json").read_text())
        for folder in (settled, find_checkpoint("nano"))
    )
    assert made == shipped
    assert again.stdout.splitlines() == [f"trained: {settled}"]
