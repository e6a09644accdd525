"""Nano's head is fitted to votes and marks; what it reads stays."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from librehps import LibreHPS
from librehps.data.synthetic import vote_probability
from librehps.evaluate.rank_correlation import spearman_rho
from librehps.heads import MultiAxisHead
from librehps.hub import find_checkpoint

SCRIPT = Path(__file__).parents[2] / "scripts" / "settle_nano.py"


def test_a_head_is_settled_and_the_rest_stays(tmp_path: Path) -> None:
    start, out = find_checkpoint("nano"), tmp_path / "out"
    few = ("--pairs", "16", "--test", "12", "--steps", "3", "--side", "64", "--processes", "1")
    command = [sys.executable, str(SCRIPT), str(start), str(out), *few]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "AUROC of sigma" in done.stdout
    before, after = (load_file(folder / "model.safetensors") for folder in (start, out))
    learned = [name for name in before if not before[name].equal(after[name])]
    assert learned
    assert all(name.startswith("multi_axis_head.") for name in learned)
    assert LibreHPS.from_pretrained(out).model.trained
    # What was computed is used again: with other votes in its place, another head comes out.
    (states,) = (tmp_path / "out.states").glob("train-*.npz")
    found = dict(np.load(states))
    assert (
        found["pooled"].shape[0] == found["quality"].shape[0] == 2 * found["share"].shape[0] == 32
    )
    np.savez(states, **found | {"share": 1.0 - found["share"]})
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    other = load_file(out / "model.safetensors")
    assert any(not other[name].equal(after[name]) for name in learned)
    # Those of another seed are not taken for one's own.
    refused = subprocess.run(
        [*command, "--seed", "82"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "another model, seed or side" in refused.stderr


def test_marks_say_what_is_noise_and_what_is_a_small_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Votes alone are as well explained by scores that are pulled together."""
    spec = importlib.util.spec_from_file_location("settle_nano", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "settle_nano", script)
    spec.loader.exec_module(script)

    rng = np.random.default_rng(0)
    objects = rng.integers(1, 4, size=4000)
    quality = -5.0 * rng.random((4000, 2)) * rng.integers(0, 2, size=(4000, 2))
    votes = np.array(
        [
            vote_probability(a - b, num_objects=int(count))
            for (a, b), count in zip(quality, objects, strict=True)
        ]
    )
    seen = np.stack([quality.ravel(), *(np.repeat(objects == n, 2) for n in (1, 2, 3))], axis=1)
    states = script.States(
        pooled=seen.astype(np.float32),
        quality=quality.reshape(-1, 1).astype(np.float32),
        share=(rng.binomial(12, votes) / 12).astype(np.float32)[:, None],
        probability=votes[:, None],
    )
    follows: dict[float, float] = {}
    for hold in (0.0, 0.1):
        torch.manual_seed(0)
        head = MultiAxisHead(hidden_size=4, axes=("overall",), hidden_sizes=(16,))
        script.settle(head, states, hold=hold, steps=600, rate=0.02, decay=0.001, seed=0)
        with torch.inference_mode():
            said = head(torch.from_numpy(states.pooled))
        follows[hold] = spearman_rho(said.sigma[:, 0].double().numpy(), np.repeat(objects, 2))
    assert follows[0.1] > 0.85
    assert follows[0.0] < 0.7
    # The scores keep one unit, whatever there is to look at.
    for count in (1, 2, 3):
        rows = np.repeat(objects == count, 2)
        slope = np.polyfit(quality.ravel()[rows], said.mean[:, 0].numpy()[rows], 1)[0]
        assert slope == pytest.approx(script.UNIT, rel=0.15)
