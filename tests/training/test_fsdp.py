"""Weights that are cut over two processes learn what whole ones learn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
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
from librehps.training.fsdp import is_sharded
from librehps.training.journal import read_journal
from librehps.training.recipe import Recipe, read_recipe
from librehps.training.trainer import train

FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}

# Of each recipe: the run, the same one stopped after two steps and resumed, and what a process has.
RUNS = """
import json, shutil, sys
from pathlib import Path
from accelerate import Accelerator
from torch.distributed import barrier, destroy_process_group, get_rank
from torch.distributed.fsdp import FSDPModule
from librehps.training import read_recipe, train
from librehps.training.learner import Learner
for folder in map(Path, sys.argv[1:]):
    recipe = read_recipe(folder / "recipe.yaml", ["run.batch_pairs=3"])
    train(recipe, folder / "double", device="cpu")
    if get_rank() == 0:
        later = shutil.ignore_patterns("step-00000004", "last*")
        shutil.copytree(folder / "double", folder / "resumed", ignore=later)
    barrier()
    train(recipe, folder / "resumed", resume=True, device="cpu")
    model = Learner(recipe, Accelerator(cpu=True)).model
    held = {name: one.to_local().numel() for name, one in model.named_parameters()}
    cut = [name for name, part in model.named_modules() if isinstance(part, FSDPModule)]
    (folder / f"held-{get_rank()}.json").write_text(json.dumps([held, cut]))
destroy_process_group()
"""


def test_two_processes_with_half_of_every_tensor_do_what_one_does_with_all(
    tmp_path: Path,
    settings: dict[str, Any],
    place: Path,
    parts_of: Callable[[Recipe, int], list[int]],
) -> None:
    settings["loss"] = "bradley_terry"
    # An odd number of pairs to measure, so that one process has a pair more.
    settings["run"] |= {"steps": 4, "batch_pairs": 6, "batch_tokens": 1000, "evaluate_every": 2}
    # Adam makes whole steps of gradients that are all rounding; small ones keep them small.
    settings["optimizer"]["learning_rate"] = 0.0003
    rows = json.loads(Path(settings["data"]["validation"]).read_text())
    (tmp_path / "validation.json").write_text(json.dumps(rows[:5]))
    settings["data"]["validation"] = str(tmp_path / "validation.json")
    settings["data"]["root"] = str(Path(settings["data"]["train"]).parent)
    folders = (tmp_path / "whole", tmp_path / "lora")
    for folder, lora in zip(folders, (None, {"rank": 2}), strict=True):
        folder.mkdir()
        settings["lora"] = lora
        settings["run"] |= {"gradient_checkpointing": lora is None}
        (folder / "recipe.yaml").write_text(yaml.safe_dump(settings))
        train(read_recipe(folder / "recipe.yaml"), folder / "single", device="cpu")
    # Now the one and now the other process has more parts, and the other keeps it company.
    alone = read_recipe(folders[0] / "recipe.yaml", ["run.batch_pairs=3"])
    assert parts_of(alone, 0) == [1, 1, 1, 2]
    assert parts_of(alone, 1) == [2, 2, 1, 1]
    (tmp_path / "runs.py").write_text(RUNS)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launch, str(tmp_path / "runs.py"), *map(str, folders)],
        capture_output=True,
        text=True,
        env=os.environ | FSDP | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for folder in folders:
        check_runs(folder)
        check_shares(folder, PreferenceModel.from_pretrained(place / "start"))
    # One process would take steps of another size.
    with pytest.raises(CheckpointError, match="was made by 2 processes") as caught:
        train(alone, folders[0] / "double", resume=True, device="cpu")
    assert caught.value.code == "snapshot_processes"


def check_runs(folder: Path) -> None:
    single, double, resumed = folder / "single", folder / "double", folder / "resumed"
    one, two = read_journal(single), read_journal(double)
    assert [(row["kind"], row["step"]) for row in one] == [(r["kind"], r["step"]) for r in two]
    for first, second in zip(one, two, strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-3)
        if first["kind"] == "train":
            assert second["gradient_norm"] == pytest.approx(first["gradient_norm"], rel=2e-3)
        else:
            assert second["axes"]["overall"]["pairs"] == 5
    names = {path.name for path in single.iterdir()}
    assert {path.name for path in double.iterdir()} == names
    assert {path.name for path in resumed.iterdir()} == names
    end, again, expected = (
        load_file(out / "last" / "model.safetensors") for out in (double, resumed, single)
    )
    assert {name: one.shape for name, one in end.items()} == {
        name: one.shape for name, one in expected.items()
    }
    # Two steps, a stop, and two more are the same four steps, to the last bit.
    assert end.keys() == again.keys()
    assert all(torch.equal(again[name], end[name]) for name in end)
    assert LibreHPS.from_pretrained(double / "last", device="cpu").trained


def check_shares(folder: Path, model: PreferenceModel) -> None:
    """Check that the weights were cut at all: runs without that would do the same."""
    (first, cut), (second, _) = (
        json.loads((folder / f"held-{process}.json").read_text()) for process in (0, 1)
    )
    blocks = (".blocks", ".layers")
    lists = {name for name, _ in model.named_modules() if name.endswith(blocks)}
    expected = {name for name, _ in model.named_modules() if name.rpartition(".")[0] in lists}
    assert set(cut) == {"", *expected}
    for name, parameter in model.named_parameters():
        layer, _, leaf = name.rpartition(".")
        held = name if name in first else f"{layer}.base_layer.{leaf}"
        rows = parameter.shape[0]
        row = parameter.numel() // rows
        assert (first[held], second[held]) == ((rows + 1) // 2 * row, rows // 2 * row), name


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
