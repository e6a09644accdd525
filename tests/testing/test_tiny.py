from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from librehps.errors import ConfigError
from librehps.inputs.batch import Batch
from librehps.model import PreferenceModel
from librehps.modeling.checkpoint import CheckpointReader
from librehps.testing.tiny import (
    make_tiny_checkpoint,
    make_tiny_hf_checkpoint,
    tiny_config,
    tiny_heads,
    tiny_model,
    tiny_processor,
)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_tiny_checkpoint(tmp_path / name, seed=seed)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    weights = "model.safetensors"
    assert files(tmp_path / "a")[weights] != files(tmp_path / "c")[weights]


def test_it_is_small_and_counts_its_parameters() -> None:
    config = tiny_config()
    backbone = tiny_model().model
    count = sum(parameter.numel() for parameter in backbone.parameters())
    assert count == config.num_params()
    assert count < 300_000


def test_what_is_returned_is_what_is_in_the_folder(tmp_path: Path) -> None:
    model = make_tiny_checkpoint(
        tmp_path / "a",
        sharded=True,
        dtype=torch.bfloat16,
        heads=["scalar"],
        pooling="mean",
        trained=False,
        config=tiny_config(layer_types=("full_attention",)),
    )
    loaded = PreferenceModel.from_pretrained(tmp_path / "a", dtype=torch.bfloat16)
    assert (loaded.pooling, loaded.trained, list(loaded.heads)) == ("mean", False, ["scalar"])
    expected = model.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == expected[name].dtype, name
        assert torch.equal(tensor, expected[name]), name


def test_every_weight_has_an_influence() -> None:
    model = tiny_model()
    image = np.random.default_rng(0).integers(0, 255, (96, 160, 3), dtype=np.uint8)
    batch = Batch.pack([tiny_processor().prepare(image, "a red fox").sample])
    out = model(batch)
    total = sum(o.mean.square().sum() for o in out.values()) + out["multi_axis"].sigma.sum()
    total.backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_the_hugging_face_folder_has_what_readers_skip(tmp_path: Path) -> None:
    make_tiny_hf_checkpoint(tmp_path / "a", config=tiny_config(tied=False), sharded=True)
    names = set(CheckpointReader(tmp_path / "a").shapes)
    assert {"mtp.fc.weight", "lm_head.weight"} <= names
    assert not any("_head" in name for name in names - {"lm_head.weight"})
    make_tiny_hf_checkpoint(tmp_path / "b", with_mtp=False)
    assert all(name.startswith("model.") for name in CheckpointReader(tmp_path / "b").shapes)


def test_unknown_heads_are_refused() -> None:
    with pytest.raises(ConfigError):
        tiny_heads(["ranknet"], hidden_size=4)
