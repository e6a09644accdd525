from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType

from librehps.errors import BackendError, ConfigError
from librehps.training.processes import Turn, gather, in_step, mean, open_processes
from librehps.training.recipe import RunRecipe

TOLD = """
import json, sys
from accelerate import Accelerator
from librehps.training.processes import gather, in_step, mean
accelerator = Accelerator(cpu=True)
own = accelerator.process_index
told = [gather(accelerator, {"process": own}), mean(accelerator, own + 1.0)]
turns = in_step(accelerator, range(3 - 2 * own))
told.append([[turn.item, turn.counts, turn.last] for turn in turns])
open(sys.argv[1] + str(own), "w").write(json.dumps(told))
accelerator.end_training()
"""


def test_a_single_process_keeps_what_it_has() -> None:
    accelerator = Accelerator(cpu=True)
    assert gather(accelerator, "own") == ["own"]
    assert mean(accelerator, 0.1) == 0.1


def test_processes_of_another_kind_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Accelerator, "distributed_type", DistributedType.MEGATRON_LM)
        with pytest.raises(ConfigError, match="MEGATRON_LM") as caught:
            open_processes(RunRecipe(steps=1), "cpu")
        assert caught.value.code == "run_processes"
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setattr("librehps.training.processes.find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"librehps\[deepspeed\]") as missing:
        open_processes(RunRecipe(steps=1), "cpu")
    assert missing.value.code == "deepspeed_missing"


def test_a_process_of_its_own_goes_through_what_it_has_once() -> None:
    accelerator = Accelerator(cpu=True)
    assert list(in_step(accelerator, "ab")) == [Turn("a"), Turn("b", last=True)]
    assert list(in_step(accelerator, "")) == []


def test_every_process_learns_what_all_have(tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(TOLD)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launch, str(tmp_path / "told.py"), str(tmp_path / "by-")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for process in range(2):
        assert json.loads((tmp_path / f"by-{process}").read_text()) == [
            [{"process": 0}, {"process": 1}],
            1.5,
            # The second one repeats its only thing until the first has done all of its three.
            [
                [number * (1 - process), process == 0 or number == 0, number == 2]
                for number in range(3)
            ],
        ]


@pytest.mark.parametrize(
    ("device", "code"),
    [("foo", "device_unknown"), ("meta", "device_unavailable"), ("cuda:99", "device_unavailable")],
)
def test_a_device_that_is_not_here_is_refused_and_no_other_is_taken(device: str, code: str) -> None:
    with pytest.raises((BackendError, ConfigError)) as caught:
        open_processes(RunRecipe(steps=1), device)
    assert caught.value.code == code


def test_a_device_that_accelerate_does_not_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_processes(RunRecipe(steps=1), "cpu").device.type == "cpu"
    elsewhere = torch.device("cuda", 1)
    monkeypatch.setattr(Accelerator, "device", elsewhere)
    with pytest.raises(ConfigError, match=r"'cpu' was asked for, .* trains on 'cuda:1'") as caught:
        open_processes(RunRecipe(steps=1), "cpu")
    assert caught.value.code == "run_processes"
