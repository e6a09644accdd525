from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from librehps.errors import CheckpointError
from librehps.modeling.checkpoint import CheckpointReader
from librehps.modeling.checkpoint_writer import write_checkpoint
from librehps.modeling.materialize import (
    check_backbone,
    fill_backbone,
    sort_names,
    without_memory,
)


class Layer(nn.Module):
    """Parameters with names like a backbone's, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.language_model = nn.ModuleDict(
            {"linear_attn": nn.ParameterDict({"A_log": torch.zeros(3), "dt_bias": torch.zeros(3)})}
        )
        self.visual = nn.Linear(2, 2)
        self.register_buffer("table", torch.zeros(2))


def folder_with(path: Path, tensors: dict[str, torch.Tensor]) -> CheckpointReader:
    write_checkpoint(path / "ckpt", tensors, config={})
    return CheckpointReader(path / "ckpt")


def full() -> dict[str, torch.Tensor]:
    layer = Layer()
    return {f"model.{k}": torch.randn(v.shape) for k, v in layer.state_dict().items()}


def test_names_are_sorted_by_what_they_are_for(tmp_path: Path) -> None:
    extra = {"mtp.fc.weight": torch.ones(1), "lm_head.weight": torch.ones(1)}
    heads = {"scalar_head.weight": torch.ones(1, 2), "rm_head.weight": torch.ones(3)}
    names = sort_names(folder_with(tmp_path, full() | extra | heads))
    assert names.backbone == {key.removeprefix("model."): key for key in full()}
    assert names.others == {"scalar_head.weight": (1, 2), "rm_head.weight": (3,)}


def test_a_bare_backbone_is_recognised(tmp_path: Path) -> None:
    bare = {"language_model.norm.weight": torch.ones(1), "visual.weight": torch.ones(1)}
    names = sort_names(folder_with(tmp_path, bare | {"score.weight": torch.ones(1)}))
    assert names.backbone == {key: key for key in bare}
    assert list(names.others) == ["score.weight"]


def test_filling_casts_all_but_what_stays_float32(tmp_path: Path) -> None:
    stored = full()
    reader = folder_with(tmp_path, stored)
    with without_memory():
        layer = Layer()
    assert all(tensor.is_meta for tensor in layer.state_dict().values())
    names = sort_names(reader)
    check_backbone(layer, reader, names)
    fill_backbone(layer, reader, names, dtype=torch.bfloat16, device="cpu")
    for name, tensor in layer.state_dict().items():
        keeps = name == "language_model.linear_attn.A_log"
        assert tensor.dtype == (torch.float32 if keeps else torch.bfloat16), name
        assert torch.equal(tensor, stored[f"model.{name}"].to(tensor.dtype)), name
    assert {name for name, _ in layer.named_buffers()} == {"table"}
    assert all(parameter.requires_grad for parameter in layer.parameters())


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"model.visual.bias": None}, "ckpt_missing_tensor", "visual.bias"),
        ({"model.visual.scale": torch.ones(1)}, "ckpt_unexpected_tensor", "model.visual.scale"),
        ({"model.layers.0.weight": torch.ones(1)}, "ckpt_unexpected_tensor", "model.layers.0"),
        ({"model.visual.weight": torch.ones(2, 3)}, "ckpt_shape", "model.visual.weight"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, change: dict[str, torch.Tensor | None], code: str, named: str
) -> None:
    tensors = {k: v for k, v in (full() | change).items() if v is not None}
    reader = folder_with(tmp_path, tensors)
    with pytest.raises(CheckpointError) as caught:
        check_backbone(Layer(), reader, sort_names(reader))
    assert caught.value.code == code
    assert named in str(caught.value)


def test_many_missing_tensors_are_counted(tmp_path: Path) -> None:
    reader = folder_with(tmp_path, {"model.x": torch.ones(1)})
    model = nn.ModuleList(nn.Linear(1, 1) for _ in range(5))
    with pytest.raises(CheckpointError, match="and 5 more"):
        check_backbone(model, reader, sort_names(reader))


def test_building_without_memory_does_not_import_the_compiler() -> None:
    code = (
        "import sys\n"
        "from librehps.modeling.backbone import Qwen3_5Backbone\n"
        "from librehps.modeling.materialize import without_memory\n"
        "from librehps.modeling.presets import PRESETS\n"
        "with without_memory():\n"
        "    model = Qwen3_5Backbone(PRESETS['nano'])\n"
        "assert all(p.is_meta and p.requires_grad for p in model.parameters())\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, "False"), run.stderr
