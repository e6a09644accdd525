"""Low-rank updates: exact at the start, only they learn, and merged they need no peft."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import nn

from librehps.data import PairLoader, read_hpdv3
from librehps.errors import BackendError, CheckpointError, ConfigError
from librehps.inputs.batch import Batch
from librehps.model import PreferenceModel
from librehps.processing import load_processor
from librehps.training.adapters import add_adapters, merge_adapters, write_adapters
from librehps.training.optimizers import build_optimizers, part_of
from librehps.training.recipe import LoraRecipe, OptimizerRecipe, read_recipe
from librehps.training.trainer import train

EVERYWHERE = LoraRecipe(rank=3, alpha=5.0, targets=("backbone", "vision", "merger"))


@pytest.fixture
def model(place: Path) -> PreferenceModel:
    return PreferenceModel.from_pretrained(place / "start")


@pytest.fixture(scope="module")
def batch(place: Path) -> Batch:
    pairs = read_hpdv3(place / "train.json").comparisons[:3]
    loader = PairLoader(pairs, load_processor(place / "start"), batch_pairs=3)
    return next(loader.batches()).batch


def means(model: PreferenceModel, batch: Batch) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat([output.mean for output in model(batch).values()], dim=1)


def adapted_layers(model: nn.Module) -> set[str]:
    return {
        name.partition(".lora_A.")[0].removeprefix("model.")
        for name, _ in model.named_parameters()
        if ".lora_A." in name
    }


def draw_updates(model: nn.Module) -> None:
    """Make every B other than zero, as after many steps."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            parameter.data.normal_(std=0.02, generator=generator)


def test_before_a_step_every_score_is_that_of_the_base_to_the_last_bit(
    model: PreferenceModel, batch: Batch
) -> None:
    before = means(model, batch)
    linear = {n for n, part in model.model.named_modules() if isinstance(part, nn.Linear)}
    add_adapters(model.model, EVERYWHERE)
    # Fused projections, [q | k | v] and the like, are linear layers like the others.
    assert adapted_layers(model) == linear
    assert torch.equal(means(model, batch), before)
    draw_updates(model)
    assert not torch.equal(means(model, batch), before)


def test_every_kind_of_layer_computes_what_its_merged_weight_computes(
    model: PreferenceModel, batch: Batch, place: Path
) -> None:
    add_adapters(model.model, EVERYWHERE)
    draw_updates(model)
    plain = PreferenceModel.from_pretrained(place / "start")
    base = means(plain, batch)
    plain.load_state_dict(merge_adapters(model, model.state_dict()))
    merged, unmerged = means(plain, batch), means(model, batch)
    torch.testing.assert_close(merged, unmerged, rtol=1e-4, atol=1e-5)
    assert (merged - base).abs().max() > 1e-3


def test_targets_are_parts_or_ends_of_names(place: Path) -> None:
    def layers(*targets: str) -> set[str]:
        model = PreferenceModel.from_pretrained(place / "start")
        add_adapters(model.model, LoraRecipe(rank=1, targets=targets))
        return adapted_layers(model)

    text = layers("backbone")
    plain = PreferenceModel.from_pretrained(place / "start").model
    linear = {name for name, part in plain.named_modules() if isinstance(part, nn.Linear)}
    assert text == {name for name in linear if name.startswith("language_model.layers.")}
    assert all(name.startswith("visual.blocks.") for name in layers("vision"))
    assert layers("self_attn.q_proj", "in_proj_qkv") == {
        name for name in text if name.endswith(("q_proj", "in_proj_qkv"))
    }
    with pytest.raises(ConfigError, match=r"'q_prj'.*did you mean 'q_proj'") as caught:
        layers("q_prj")
    assert caught.value.code == "lora_target"


def test_only_adapters_heads_and_what_is_named_learn(model: PreferenceModel) -> None:
    add_adapters(model.model, LoraRecipe(targets=("q_proj", "vision")))
    scales = {"merger": 0.5, "backbone": 0.1, "adapters": 2.0}
    made = build_optimizers(model, OptimizerRecipe(kind="muon", scales=scales))
    rates = {
        id(parameter): (name, group["lr"])
        for name, optimizer in made.items()
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    for name, parameter in model.named_parameters():
        part = part_of(name)
        learns = part in ("heads", "adapters", "merger", "backbone") and ".base_layer." not in name
        assert parameter.requires_grad == learns, name
        assert (id(parameter) in rates) == learns
        if part == "adapters":
            assert rates[id(parameter)] == ("adamw", 2e-4)
    # With nothing named, the rest of the backbone is frozen.
    build_optimizers(model, OptimizerRecipe())
    learning = {part_of(name) for name, one in model.named_parameters() if one.requires_grad}
    assert learning == {"adapters", "heads"}


def recipe(tmp_path: Path, settings: dict[str, Any], *overrides: str) -> Any:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings | {"lora": {"rank": 2, "dropout": 0.2}}))
    return read_recipe(path, overrides)


def test_a_run_saves_plain_checkpoints_and_goes_on_after_a_stop_bit_for_bit(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings["run"] |= {"steps": 4, "evaluate_every": 2, "save_every": 2}
    shutil.copytree(settings["start"], tmp_path / "start")
    settings["start"] = str(tmp_path / "start")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(recipe(tmp_path, settings), whole, device="cpu")
    start = load_file(Path(settings["start"]) / "model.safetensors")
    end = load_file(whole / "last" / "model.safetensors")
    assert end.keys() == start.keys()
    changed = {name for name in end if not torch.equal(end[name], start[name])}
    # The matrices of the text model's blocks, and the heads; dropout has not changed the rest.
    matrices = {n for n in start if ".layers." in n and "_proj" in n}
    heads = {n for n in start if not n.startswith("model.")}
    assert changed <= matrices | heads
    assert len(changed & matrices) == len(matrices)
    assert changed & heads

    # A snapshot holds what learns and not the frozen rest.
    kept = load_file(whole / "snapshots" / "step-00000004" / "model.safetensors")
    assert {part_of(name) for name in kept} == {"adapters", "heads"}

    from librehps.training.learner import Learner

    update = Learner.update

    def fails_at_the_fourth(self: Learner, batches: Any, *, step: int) -> Any:
        if step == 3:
            raise KeyboardInterrupt
        return update(self, batches, step=step)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "update", fails_at_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            train(recipe(tmp_path, settings), stopped, device="cpu")
    torch.manual_seed(1234)
    train(recipe(tmp_path, settings), stopped, resume=True, device="cpu")
    again = load_file(stopped / "last" / "model.safetensors")
    assert all(torch.equal(again[name], end[name]) for name in end)

    # What was learnt over other weights is no part of this run.
    others = {name: 1.001 * tensor for name, tensor in start.items()}
    save_file(others, tmp_path / "start" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="over a start with other weights") as caught:
        train(recipe(tmp_path, settings), stopped, resume=True, device="cpu")
    assert caught.value.code == "snapshot_start"

    # Scoring works where there is no peft.
    code = (
        "import sys; sys.modules['peft'] = None\n"
        "from librehps import LibreHPS\n"
        "assert LibreHPS.from_pretrained(sys.argv[1], device='cpu').trained"
    )
    subprocess.run([sys.executable, "-c", code, str(whole / "best")], check=True)
    config = json.loads((whole / "best-adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["peft_type"]) == (2, "LORA")


# peft asks transformers by the older of two names.
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_what_is_written_goes_onto_the_stock_model_through_peft(
    model: PreferenceModel, place: Path, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModel

    add_adapters(model.model, EVERYWHERE)
    draw_updates(model)
    write_adapters(model.model, model.model.state_dict(), tmp_path / "adapter")
    stock = AutoModel.from_pretrained(place / "start")
    merged: Any = PeftModel.from_pretrained(stock, str(tmp_path / "adapter")).merge_and_unload()
    expected = merge_adapters(model, model.state_dict())
    found = {f"model.{name}": tensor for name, tensor in merged.state_dict().items()}
    for name, tensor in expected.items():
        if name.startswith("model."):
            torch.testing.assert_close(found[name], tensor, msg=name)


def test_a_missing_package_names_the_extra(
    model: PreferenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(BackendError, match=r"librehps\[train\]") as caught:
        add_adapters(model.model, LoraRecipe())
    assert caught.value.code == "peft_missing"
