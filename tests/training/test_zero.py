"""Moments that DeepSpeed cuts over two processes do what whole ones do."""

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

from librehps.errors import ConfigError
from librehps.model import PreferenceModel
from librehps.training.journal import read_journal
from librehps.training.recipe import read_recipe
from librehps.training.trainer import train
from librehps.training.zero import Zero, is_zero, zero_settings

STAGE = "ACCELERATE_DEEPSPEED_ZERO_STAGE"

# The run, the same one stopped after two steps and resumed, one that DeepSpeed goes on with though
# it began without, and what a process has of the moments. Processes of one machine could sum in
# shared memory, for which DeepSpeed wants a compiler; the usual way is enough.
RUNS = f"""
import json, os, shutil, sys
from pathlib import Path
import deepspeed
from accelerate import Accelerator
from torch.distributed import barrier, destroy_process_group, get_rank
from librehps.training import read_recipe, train
from librehps.training.learner import Learner
deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
folder = Path(sys.argv[1])
recipe = read_recipe(folder / "recipe.yaml", ["run.batch_pairs=3"])
later = shutil.ignore_patterns("step-00000004", "last*")

def resume(name, start):
    if get_rank() == 0:
        shutil.copytree(folder / start, folder / name, ignore=later)
    barrier()
    train(recipe, folder / name, resume=True, device="cpu")

train(recipe, folder / "double", device="cpu")
resume("resumed", "double")
os.environ["{STAGE}"] = "1"
resume("first-stage", "double")
os.environ["ACCELERATE_USE_DEEPSPEED"] = "false"
train(recipe, folder / "plain", device="cpu")
os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
resume("taken-over", "plain")
learner = Learner(recipe, Accelerator(cpu=True))
groups = learner.distribution.optimizers["adamw"].param_groups
held = sum(piece.numel() for group in groups for piece in group["params"])
(folder / f"held-{{get_rank()}}.json").write_text(json.dumps(held))
destroy_process_group()
"""


def test_two_processes_with_half_of_the_moments_do_what_one_does_with_all(
    tmp_path: Path, settings: dict[str, Any], place: Path
) -> None:
    # Parts of batches and more than one batch to an update: what is averaged when must fit.
    settings["run"] |= {
        "steps": 4,
        "batch_pairs": 6,
        "batch_tokens": 1000,
        "accumulate": 2,
        "evaluate_every": 2,
    }
    settings["loss"] = "thurstone"
    settings["optimizer"]["learning_rate"] = 0.0003
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(settings))
    train(read_recipe(tmp_path / "recipe.yaml"), tmp_path / "single", device="cpu")
    (tmp_path / "runs.py").write_text(RUNS)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launch, str(tmp_path / "runs.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"ACCELERATE_USE_DEEPSPEED": "true", STAGE: "2", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, two = read_journal(tmp_path / "single"), read_journal(tmp_path / "double")
    assert [(row["kind"], row["step"]) for row in one] == [(r["kind"], r["step"]) for r in two]
    for first, second in zip(one, two, strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-3)
        if first["kind"] == "train":
            assert second["gradient_norm"] == pytest.approx(first["gradient_norm"], rel=2e-3)
    end = load_file(tmp_path / "double" / "last" / "model.safetensors")
    again, first_stage, taken_over = (
        load_file(tmp_path / name / "last" / "model.safetensors")
        for name in ("resumed", "first-stage", "taken-over")
    )
    # Two steps, a stop, and two more are the same four steps, to the last bit.
    assert all(torch.equal(again[name], end[name]) for name in end)
    # What is cut how is no part of a snapshot.
    for other in (first_stage, taken_over):
        for name in end:
            torch.testing.assert_close(other[name], end[name], atol=1e-4, rtol=1e-4)
    moments = sum(
        parameter.numel()
        for parameter in PreferenceModel.from_pretrained(place / "start").parameters()
    )
    for process in (0, 1):
        held = json.loads((tmp_path / f"held-{process}.json").read_text())
        # The vector of each group is filled up to what two processes can share.
        assert moments / 2 <= held < moments / 2 + 100


def test_deepspeed_is_taken_where_accelerate_was_asked_for_it(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], tmp_path: Path
) -> None:
    accelerator = Accelerator(cpu=True)
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    # A single process has nothing to cut.
    assert not is_zero(accelerator)
    monkeypatch.setattr(Accelerator, "distributed_type", DistributedType.MULTI_CPU)
    assert is_zero(accelerator)
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "false")
    assert not is_zero(accelerator)
    monkeypatch.setattr(Accelerator, "distributed_type", DistributedType.DEEPSPEED)
    assert is_zero(accelerator)
    settings["optimizer"]["kind"] = "muon"
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ConfigError, match="DeepSpeed cuts them") as caught:
        Zero(accelerator, read_recipe(tmp_path / "recipe.yaml"))
    assert caught.value.code == "muon_sharded"


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"zero_optimization": {"stage": 3}}, "FSDP 2"),
        ({}, "stages 1 and 2"),
        ({"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}}, "offload"),
        ({"zero_optimization": {"stage": 2}, "gradient_clipping": 0.25}, r"decides \(1\.0\)"),
        ({"zero_optimization": {"stage": 2}, "bf16": {"enabled": True}}, "bf16"),
        ({"zero_optimization": {"stage": 2}, "optimizer": {"type": "Lamb"}}, "optimizer"),
        ({"zero_optimization": {"stage": 2}, "train_batch_size": 64}, "train_batch_size"),
    ],
)
def test_what_the_recipe_decides_is_not_for_deepspeed_to_say(
    told: dict[str, Any], message: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(settings))
    recipe = read_recipe(tmp_path / "recipe.yaml")
    with pytest.raises(ConfigError, match=message) as caught:
        zero_settings(told, recipe)
    assert caught.value.code == "run_processes"


def test_deepspeed_is_told_how_to_cut_and_what_the_recipe_says(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["run"]["precision"] = "bfloat16"
    settings["optimizer"]["clip"] = 0.5
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(settings))
    told = {
        "zero_optimization": {
            "stage": 1,
            "reduce_bucket_size": 1000,
            "offload_optimizer": {"device": "none"},
        },
        "gradient_clipping": 0.5,
        "train_batch_size": "auto",
        "bf16": {"enabled": "auto"},
        "steps_per_print": float("inf"),
    }
    settled = zero_settings(told, read_recipe(tmp_path / "recipe.yaml"))
    assert settled["zero_optimization"] == {"stage": 1, "reduce_bucket_size": 1000}
    assert settled["gradient_clipping"] == 0.5
    assert settled["torch_autocast"]["enabled"]
    assert not settled["torch_autocast"]["lower_precision_safe_modules"]
