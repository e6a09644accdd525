from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen3_5Config as StockConfig
from transformers import Qwen3_5ForConditionalGeneration

from librehps.errors import BackendError, CheckpointError
from librehps.modeling import PRESETS, BackboneState, Qwen3_5Backbone
from librehps.modeling.transformers_backbone import TransformersBackbone
from librehps.testing.tiny import make_tiny_checkpoint, tiny_config
from librehps.testing.tolerances import TOLERANCES, relative_rms

NANO = PRESETS["nano"]
IDS = torch.tensor([1, 2, NANO.image_token_id, NANO.image_token_id, 3, 4, 5, 6])
BATCH = {
    "input_ids": IDS,
    "positions": torch.arange(8).expand(3, -1).contiguous(),
    "cu_seqlens": torch.tensor([0, 5, 6, 8], dtype=torch.int32),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("stock")
    Qwen3_5ForConditionalGeneration(StockConfig(**NANO.to_hf())).save_pretrained(path)
    return path


@pytest.fixture
def stock(folder: Path) -> TransformersBackbone:
    return TransformersBackbone.from_pretrained(folder)


def test_packed_sequences_come_out_as_from_the_native_backbone(stock: TransformersBackbone) -> None:
    native = Qwen3_5Backbone(NANO)
    native.load_state_dict(stock.state_dict())
    vision = {"patches": torch.rand(8, 1536) * 2 - 1, "grid_thw": torch.tensor([[1, 2, 4]])}
    with torch.no_grad():
        expected, actual = stock(**BATCH, **vision), native(**BATCH, **vision)
    assert stock.hidden_size == native.hidden_size
    limit = TOLERANCES["backbone_hidden_float32"].limit
    assert relative_rms(actual.hidden, expected.hidden) <= limit
    index = torch.tensor([7, 4])
    with torch.no_grad():
        for backbone in (stock, native):
            some = backbone(**BATCH, **vision, output_index=index).hidden
            assert relative_rms(some, expected.hidden[index]) <= limit


def test_recomputing_changes_no_gradient(stock: TransformersBackbone) -> None:
    vision = {"patches": torch.rand(8, 1536) * 2 - 1, "grid_thw": torch.tensor([[1, 2, 4]])}
    stock.train()
    found: list[torch.Tensor] = []
    for recompute in (True, False):
        stock.gradient_checkpointing = recompute
        assert stock.gradient_checkpointing is recompute
        stock.zero_grad()
        stock(**BATCH, **vision).hidden.square().sum().backward()
        found.append(stock.visual.patch_embed.proj.weight.grad.clone())
    torch.testing.assert_close(found[0], found[1])


def test_it_hands_over_no_state(stock: TransformersBackbone) -> None:
    for options in ({"return_state": True}, {"state": BackboneState(())}):
        with pytest.raises(BackendError) as caught:
            stock(**BATCH, **options)
        assert caught.value.code == "state_unavailable"


@pytest.mark.parametrize(
    ("change", "code"), [("drop", "ckpt_missing_tensor"), ("add", "ckpt_unexpected_tensor")]
)
def test_a_folder_must_hold_the_backbone_and_may_hold_heads(
    folder: Path, tmp_path: Path, change: str, code: str
) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["scalar_head.weight"] = torch.zeros(1, 128)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text(encoding="utf-8"))
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    TransformersBackbone.from_pretrained(tmp_path)
    if change == "drop":
        del tensors["model.language_model.norm.weight"]
    else:
        tensors["model.visual.blocks.9.norm1.weight"] = torch.zeros(96)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError) as caught:
        TransformersBackbone.from_pretrained(tmp_path)
    assert caught.value.code == code


def test_a_weight_that_is_no_number_is_named(folder: Path, tmp_path: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    name = "model.language_model.norm.weight"
    tensors[name][3] = float("nan")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="NaN") as caught:
        TransformersBackbone.from_pretrained(tmp_path)
    assert (caught.value.code, caught.value.item) == ("weight_not_finite", name)


def test_a_missing_package_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(BackendError, match="pip install") as caught:
        TransformersBackbone.from_pretrained(folder)
    assert caught.value.code == "transformers_missing"


def test_layers_that_the_stock_model_does_not_have_are_named(tmp_path: Path) -> None:
    make_tiny_checkpoint(tmp_path / "a", config=tiny_config(layer_types=("mamba2",)))
    with pytest.raises(BackendError, match="no layers of type mamba2") as caught:
        TransformersBackbone.from_pretrained(tmp_path / "a")
    assert caught.value.code == "transformers_layers"
