"""Weights that are cut over two processes learn what whole ones learn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from accelerate import Accelerator
from accelerate.utils import DistributedType
from safetensors.torch import load_file

from librehps import LibreHPS
from librehps.errors import CheckpointError, ConfigError
from librehps.model import PreferenceModel
from librehps.training.journal import read_journal
from librehps.training.recipe import read_recipe
from librehps.training.sharding import cut_like, is_sharded, whole, whole_state
from librehps.training.trainer import train

FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}


def launch(recipe: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
            *("-m", "librehps", "train", str(recipe), "--out", str(out), "--device", "cpu", *more),
        ],
        capture_output=True,
        text=True,
        env=os.environ | FSDP | {"OMP_NUM_THREADS": "1"},
        check=False,
    )


@pytest.mark.parametrize("lora", [None, {"rank": 2}], ids=["whole", "lora"])
def test_two_processes_with_half_of_every_tensor_do_what_one_does_with_all(
    tmp_path: Path, settings: dict[str, Any], lora: dict[str, Any] | None
) -> None:
    settings["lora"] = lora
    settings["loss"] = "bradley_terry"
    # Parts of other numbers in the two processes, since pairs are of other lengths; and an odd
    # number of pairs to measure, so that one process has a pair more.
    settings["run"] |= {"steps": 4, "batch_pairs": 6, "batch_tokens": 700, "evaluate_every": 2}
    settings["run"] |= {"gradient_checkpointing": lora is None}
    # Adam makes whole steps of gradients that are all rounding; small ones keep them small.
    settings["optimizer"]["learning_rate"] = 0.0003
    rows = json.loads(Path(settings["data"]["validation"]).read_text())
    (tmp_path / "validation.json").write_text(json.dumps(rows[:5]))
    settings["data"]["validation"] = str(tmp_path / "validation.json")
    settings["data"]["root"] = str(Path(settings["data"]["train"]).parent)
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(settings))
    single, double = tmp_path / "single", tmp_path / "double"
    train(read_recipe(file), single, device="cpu")
    done = launch(file, double, "run.batch_pairs=3")
    assert done.returncode == 0, done.stderr
    one, two = read_journal(single), read_journal(double)
    assert [(row["kind"], row["step"]) for row in one] == [(r["kind"], r["step"]) for r in two]
    for first, second in zip(one, two, strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-3)
        if first["kind"] == "train":
            assert second["gradient_norm"] == pytest.approx(first["gradient_norm"], rel=2e-3)
        else:
            assert second["axes"]["overall"]["pairs"] == 5
    assert {path.name for path in double.iterdir()} == {path.name for path in single.iterdir()}
    end, expected = (load_file(out / "last" / "model.safetensors") for out in (double, single))
    assert end.keys() == expected.keys()
    assert {name: one.shape for name, one in end.items()} == {
        name: one.shape for name, one in expected.items()
    }
    assert LibreHPS.from_pretrained(double / "last", device="cpu").trained

    # Two steps, a stop, and two more are the same four steps, to the last bit.
    if lora is not None:
        return
    for kept in (double / "snapshots").iterdir():
        if kept.name != "step-00000002":
            kept.rename(tmp_path / kept.name)
    again = launch(file, double, "run.batch_pairs=3", "--resume")
    assert again.returncode == 0, again.stderr
    resumed = load_file(double / "last" / "model.safetensors")
    assert all(torch.equal(resumed[name], end[name]) for name in end)
    # One process would take steps of another size.
    with pytest.raises(CheckpointError, match="was made by 2 processes") as caught:
        train(read_recipe(file, ["run.batch_pairs=3"]), double, resume=True, device="cpu")
    assert caught.value.code == "snapshot_processes"


def test_muon_is_refused_by_name(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings["optimizer"] = {"kind": "muon"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(settings))
    done = launch(tmp_path / "recipe.yaml", tmp_path / "run")
    assert done.returncode != 0
    assert "set optimizer.kind=adamw" in done.stderr


def test_only_the_second_fsdp_as_it_is_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = Accelerator(cpu=True)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    # A single process has nothing to cut.
    assert not is_sharded(accelerator)
    monkeypatch.setattr(Accelerator, "distributed_type", DistributedType.MULTI_CPU)
    assert is_sharded(accelerator)
    with monkeypatch.context() as patch:
        patch.setenv("FSDP_OFFLOAD_PARAMS", "true")
        with pytest.raises(ConfigError, match="offloaded") as caught:
            is_sharded(accelerator)
        assert caught.value.code == "run_processes"
    with monkeypatch.context() as patch:
        patch.setenv("FSDP_ACTIVATION_CHECKPOINTING", "true")
        with pytest.raises(ConfigError, match=r"run\.gradient_checkpointing"):
            is_sharded(accelerator)
    monkeypatch.setenv("FSDP_VERSION", "1")
    with pytest.raises(ConfigError, match="set fsdp_version to 2"):
        is_sharded(accelerator)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "false")
    assert not is_sharded(accelerator)


def test_what_is_not_cut_is_whole_already(place: Path) -> None:
    model = PreferenceModel.from_pretrained(place / "start")
    state = whole_state(model, keep=True)
    assert state.keys() == model.state_dict().keys()
    assert whole_state(model, keep=False) == {}
    tensor = torch.ones(3)
    assert whole(tensor) is tensor
    assert cut_like(tensor, torch.zeros(3)) is tensor
