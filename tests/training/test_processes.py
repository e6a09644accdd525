from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate import Accelerator
from accelerate.utils import DistributedType

from librehps.errors import ConfigError
from librehps.training.processes import gather, mean, open_processes
from librehps.training.recipe import RunRecipe

TOLD = """
import json, sys
from accelerate import Accelerator
from librehps.training.processes import gather, mean
accelerator = Accelerator(cpu=True)
own = accelerator.process_index
told = [gather(accelerator, {"process": own}), mean(accelerator, own + 1.0)]
open(sys.argv[1] + str(own), "w").write(json.dumps(told))
accelerator.end_training()
"""


def test_a_single_process_keeps_what_it_has() -> None:
    accelerator = Accelerator(cpu=True)
    assert gather(accelerator, "own") == ["own"]
    assert mean(accelerator, 0.1) == 0.1


def test_weights_that_are_cut_over_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Accelerator, "distributed_type", DistributedType.DEEPSPEED)
    with pytest.raises(ConfigError, match="DEEPSPEED") as caught:
        open_processes(RunRecipe(steps=1), "cpu")
    assert caught.value.code == "run_processes"


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
        ]
