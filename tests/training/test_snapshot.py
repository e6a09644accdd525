from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from librehps.data.loader import BadPair, Position
from librehps.errors import CheckpointError
from librehps.model import PreferenceModel
from librehps.testing.tiny import tiny_processor
from librehps.training.snapshot import (
    Progress,
    fingerprint,
    inputs_digest,
    latest_snapshot,
    read_snapshot,
    write_snapshot,
)

RECIPE: dict[str, Any] = {"run": {"steps": 3, "betas": (0.9, 0.98)}}
PROGRESS = Progress(
    step=7,
    position=Position(1, 12),
    best_value=0.25,
    best_step=6,
    since_best=1,
    bad=(BadPair("k", 0, "no image"),),
)


def trained() -> tuple[nn.Module, dict[str, torch.optim.Optimizer]]:
    torch.manual_seed(3)
    model = nn.Linear(4, 3)
    optimizers: dict[str, torch.optim.Optimizer] = {
        "adamw": torch.optim.AdamW([model.bias], lr=0.1),
        "muon": torch.optim.Muon([model.weight], lr=0.1),
    }
    step(model, optimizers)
    return model, optimizers


def step(model: nn.Module, optimizers: dict[str, torch.optim.Optimizer]) -> None:
    inputs = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    model(inputs).square().sum().backward()
    for optimizer in optimizers.values():
        optimizer.step()
        optimizer.zero_grad()


def save(folder: Path, progress: Progress = PROGRESS) -> Path:
    model, optimizers = trained()
    return write_snapshot(folder, progress, model=model, optimizers=optimizers, recipe=RECIPE)


def test_what_goes_on_from_a_snapshot_goes_on_bit_for_bit(tmp_path: Path) -> None:
    model, optimizers = trained()
    place = write_snapshot(tmp_path, PROGRESS, model=model, optimizers=optimizers, recipe=RECIPE)
    step(model, optimizers)
    again = nn.Linear(4, 3)
    fresh: dict[str, torch.optim.Optimizer] = {
        "adamw": torch.optim.AdamW([again.bias], lr=0.1),
        "muon": torch.optim.Muon([again.weight], lr=0.1),
    }
    found = read_snapshot(place, model=again, optimizers=fresh, recipe=RECIPE)
    assert found == PROGRESS
    step(again, fresh)
    assert torch.equal(again.weight, model.weight)
    assert torch.equal(again.bias, model.bias)


def test_what_is_frozen_is_not_kept_twice_and_what_learns_must_be_there(tmp_path: Path) -> None:
    model, optimizers = trained()
    model.get_parameter("bias").requires_grad_(False)
    place = write_snapshot(tmp_path, PROGRESS, model=model, optimizers=optimizers, recipe=RECIPE)
    assert load_file(place / "model.safetensors").keys() == {"weight"}
    assert read_snapshot(place, model=model, optimizers=optimizers, recipe=RECIPE) == PROGRESS
    model.get_parameter("bias").requires_grad_(True)
    with pytest.raises(CheckpointError, match="does not fit"):
        read_snapshot(place, model=model, optimizers=optimizers, recipe=RECIPE)


def test_only_whole_ones_count_and_the_last_two_stay(tmp_path: Path) -> None:
    assert latest_snapshot(tmp_path / "none") is None
    for number in (1, 2, 30):
        save(tmp_path, dataclasses.replace(PROGRESS, step=number))
    (tmp_path / ".step-00000031.part").mkdir()
    assert sorted(path.name for path in tmp_path.glob("step-*")) == [
        "step-00000002",
        "step-00000030",
    ]
    latest = latest_snapshot(tmp_path)
    assert latest is not None
    assert latest.name == "step-00000030"


def test_an_option_that_is_off_may_be_missing_in_an_older_snapshot(tmp_path: Path) -> None:
    place = save(tmp_path)
    model, optimizers = trained()
    later: dict[str, Any] = {"run": RECIPE["run"] | {"batch_tokens": None}, "lora": None}
    assert read_snapshot(place, model=model, optimizers=optimizers, recipe=later) == PROGRESS
    later["run"]["batch_tokens"] = 100
    with pytest.raises(CheckpointError, match="another run"):
        read_snapshot(place, model=model, optimizers=optimizers, recipe=later)


def test_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    model, optimizers = trained()
    place = write_snapshot(
        tmp_path, PROGRESS, model=model, optimizers=optimizers, recipe=RECIPE, processes=2
    )
    with pytest.raises(CheckpointError, match="by 2 processes, and this is 3") as caught:
        read_snapshot(place, model=model, optimizers=optimizers, recipe=RECIPE, processes=3)
    assert caught.value.code == "snapshot_processes"
    found = read_snapshot(place, model=model, optimizers=optimizers, recipe=RECIPE, processes=2)
    assert found == PROGRESS


def test_what_is_frozen_must_be_what_it_was(tmp_path: Path) -> None:
    model, optimizers = trained()
    assert fingerprint(model) == ""
    model.get_parameter("bias").requires_grad_(False)
    frozen = fingerprint(model)
    place = write_snapshot(
        tmp_path, PROGRESS, model=model, optimizers=optimizers, recipe=RECIPE, frozen=frozen
    )
    with torch.no_grad():
        model.get_parameter("weight").add_(1.0)
    assert fingerprint(model) == frozen
    with torch.no_grad():
        model.get_parameter("bias")[2] += 1e-6
    other = fingerprint(model)
    assert other != frozen
    with pytest.raises(CheckpointError, match="put back the checkpoint") as caught:
        read_snapshot(place, model=model, optimizers=optimizers, recipe=RECIPE, frozen=other)
    assert caught.value.code == "snapshot_start"
    read_snapshot(place, model=model, optimizers=optimizers, recipe=RECIPE, frozen=frozen)
    # A snapshot of before this was looked at.
    state = json.loads((place / "state.json").read_text())
    del state["frozen"]
    (place / "state.json").write_text(json.dumps(state))
    read_snapshot(place, model=model, optimizers=optimizers, recipe=RECIPE, frozen=other)


def test_a_sample_of_a_large_tensor_tells_it_from_another() -> None:
    model = nn.Linear(300, 70, bias=False).requires_grad_(False)
    weight, prints = model.weight, {fingerprint(model)}
    for other in (weight * 1.0001, weight.flip(0), weight.view(300, 70)):
        model.weight = nn.Parameter(other, requires_grad=False)
        prints.add(fingerprint(model))
    assert len(prints) == 4
    model.weight = weight
    assert fingerprint(model) in prints


def test_who_does_not_write_leaves_nothing(tmp_path: Path) -> None:
    model, optimizers = trained()
    write_snapshot(
        tmp_path, PROGRESS, model=model, optimizers=optimizers, recipe=RECIPE, writes=False
    )
    assert list(tmp_path.iterdir()) == []


def test_another_recipe_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    place = save(tmp_path)
    model, optimizers = trained()
    other = {"run": {"steps": 4, "betas": (0.9, 0.98)}}
    with pytest.raises(CheckpointError, match="another run") as caught:
        read_snapshot(place, model=model, optimizers=optimizers, recipe=other)
    assert caught.value.code == "snapshot_recipe"
    weights = (place / "model.safetensors").read_bytes()
    (place / "model.safetensors").write_bytes(weights[:-5])
    with pytest.raises(CheckpointError, match="cannot be read") as caught:
        read_snapshot(place, model=model, optimizers=optimizers, recipe=RECIPE)
    assert caught.value.code == "snapshot_damaged"
    with pytest.raises(CheckpointError, match="does not fit"):
        read_snapshot(save(tmp_path), model=nn.Linear(5, 3), optimizers=optimizers, recipe=RECIPE)


def test_other_inputs_are_refused_and_an_older_snapshot_knows_nothing_of_them(
    tmp_path: Path,
) -> None:
    model, optimizers = trained()
    parts: Any = {"model": model, "optimizers": optimizers, "recipe": RECIPE}
    place = write_snapshot(tmp_path, PROGRESS, **parts, inputs="one")
    assert read_snapshot(place, **parts, inputs="one") == PROGRESS
    with pytest.raises(CheckpointError, match="pixel budget") as caught:
        read_snapshot(place, **parts, inputs="two")
    assert caught.value.code == "snapshot_start"
    state = json.loads((place / "state.json").read_text())
    del state["inputs"], state["progress"]["measured"]
    (place / "state.json").write_text(json.dumps(state))
    # Nor did it write one before what was due had been measured.
    then = read_snapshot(place, **parts, inputs="two")
    assert then == dataclasses.replace(PROGRESS, measured=PROGRESS.step)


def test_inputs_are_told_apart_by_template_budget_and_pooling(place: Path) -> None:
    model, processor = PreferenceModel.from_pretrained(place / "start"), tiny_processor()
    first = inputs_digest(processor, model)
    assert inputs_digest(tiny_processor(), model) == first
    budget = dataclasses.replace(processor.budget, max_pixels=2 * processor.budget.max_pixels)
    processor.budget = budget
    other = inputs_digest(processor, model)
    model.pooling = "mean"
    assert len({first, other, inputs_digest(processor, model)}) == 3


def test_a_damaged_snapshot_says_what_to_go_on_from(tmp_path: Path) -> None:
    first = save(tmp_path)
    second = save(tmp_path, dataclasses.replace(PROGRESS, step=9))
    model, optimizers = trained()
    for place, advice in ((second, f"remove this folder to go on from {first.name}"), (first, "")):
        weights = place / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:40])
        with pytest.raises(CheckpointError, match="cannot be read") as caught:
            read_snapshot(place, model=model, optimizers=optimizers, recipe=RECIPE)
        assert caught.value.code == "snapshot_damaged"
        said = str(caught.value)
        assert advice in said
        assert ("remove this folder" in said) == bool(advice)


def test_a_full_disk_is_an_error_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr("librehps.training.snapshot.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path)
    assert latest_snapshot(tmp_path) is None
