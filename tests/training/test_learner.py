from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from accelerate import Accelerator
from accelerate.utils import DistributedType

from librehps.data import PairBatch, PairLoader, read_hpdv3
from librehps.errors import CheckpointError, ConfigError, InputError
from librehps.inputs.batch import Batch
from librehps.processing import load_processor
from librehps.training.learner import Learner
from librehps.training.recipe import read_recipe


def learner(tmp_path: Path, settings: dict[str, Any]) -> Learner:
    settings["run"] |= {"accumulate": 2}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(settings))
    return Learner(read_recipe(tmp_path / "recipe.yaml"), Accelerator(cpu=True))


def batches(one: Learner, place: Path, max_tokens: int | None = None) -> list[PairBatch]:
    loader = PairLoader(
        read_hpdv3(place / "train.json").comparisons,
        load_processor(place / "start"),
        batch_pairs=4,
        axes=one.model.axes,
        max_tokens=max_tokens,
    )
    return list(loader.batches())[:2]


def note_size(sizes: list[int], model: object, arguments: tuple[Batch]) -> None:
    sizes.append(arguments[0].num_tokens)


def test_an_update_in_parts_is_the_update_as_a_whole(
    tmp_path: Path, settings: dict[str, Any], place: Path
) -> None:
    calls: list[list[int]] = []
    updates: list[Any] = []
    for cap in (None, 1000):
        fresh = learner(tmp_path, settings)
        sizes: list[int] = []
        fresh.model.register_forward_pre_hook(partial(note_size, sizes))
        updates.append(fresh.update(batches(fresh, place, cap), step=0))
        calls.append(sizes)
    assert len(calls[0]) == 2
    assert len(calls[1]) == 4
    assert max(calls[1]) <= 1000 < max(calls[0])
    one, other = updates
    assert other.loss == pytest.approx(one.loss, rel=1e-5)
    assert other.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-4)
    assert (other.pairs, other.position) == (one.pairs, one.position)


def test_a_loss_that_is_not_finite_names_its_pairs(
    tmp_path: Path, settings: dict[str, Any], place: Path
) -> None:
    one = learner(tmp_path, settings)
    with torch.no_grad():
        for name, parameter in one.model.named_parameters():
            if not name.startswith("model."):
                parameter.fill_(float("nan"))
    before = [parameter.clone() for parameter in one.model.model.parameters()]
    with pytest.raises(InputError, match="the loss is nan at step 4, on the pairs") as caught:
        one.update(batches(one, place), step=3)
    assert caught.value.code == "loss_not_finite"
    after = one.model.model.parameters()
    assert all(old.equal(new) for old, new in zip(before, after, strict=True))


def test_muon_is_refused_by_name_where_weights_are_cut(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings["optimizer"] = {"kind": "muon"}
    monkeypatch.setattr(Accelerator, "distributed_type", DistributedType.MULTI_CPU)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    with pytest.raises(ConfigError, match=r"set optimizer\.kind=adamw") as caught:
        learner(tmp_path, settings)
    assert caught.value.code == "muon_sharded"


def test_weights_of_zero_on_every_axis_are_refused(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    axes = ("overall", "alignment", "coherence", "style")
    settings["axis_weights"] = dict.fromkeys(axes, 0.0)
    with pytest.raises(ConfigError, match="nothing would learn") as caught:
        learner(tmp_path, settings)
    assert caught.value.code == "recipe_value"
    settings["axis_weights"].pop("style")
    learner(tmp_path, settings)


@pytest.mark.parametrize(
    ("start", "message"), [("nowhere", "no folder 'nowhere'"), ("a_file", "is a file")]
)
def test_a_start_is_looked_for_as_everywhere(
    tmp_path: Path, settings: dict[str, Any], start: str, message: str
) -> None:
    (tmp_path / "a_file").write_text("")
    settings["start"] = str(tmp_path / start) if start == "a_file" else start
    with pytest.raises(CheckpointError, match=message):
        learner(tmp_path, settings)
    settings["start"] = "nano"
    assert learner(tmp_path, settings).model.trained
