"""One folder, loaded here and by stock transformers, in both directions."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from librehps.inputs.batch import Batch
from librehps.model import PreferenceModel
from librehps.model_config import read_config
from librehps.modeling.checkpoint import CheckpointReader
from librehps.modeling.checkpoint_writer import write_checkpoint
from librehps.testing.tiny import (
    make_tiny_checkpoint,
    make_tiny_hf_checkpoint,
    tiny_config,
    tiny_heads,
    tiny_processor,
)
from librehps.testing.tolerances import TOLERANCES, relative_rms

LIMIT = TOLERANCES["checkpoint_hidden_float32"].limit
PROMPT = "a red fox running through fresh snow"


@pytest.fixture(scope="module", autouse=True)
def quiet_transformers() -> None:
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("transformers").setLevel(logging.ERROR)


@pytest.fixture(scope="module")
def batch() -> Batch:
    image = np.random.default_rng(0).integers(0, 256, (150, 230, 3), dtype=np.uint8)
    return Batch.pack([tiny_processor().prepare(image, PROMPT).sample])


def stock(kind: Any, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Load with transformers in float32, with what it says about the keys."""
    with warnings.catch_warnings():
        # transformers' own use of deprecated torch functions is not ours to judge.
        warnings.simplefilter("ignore")
        model, info = kind.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True, local_files_only=True
        )
    return model.eval(), info


def stock_hidden(model: Any, batch: Batch) -> torch.Tensor:
    inner = model.model if hasattr(model, "lm_head") else model
    types = (batch.input_ids == model.config.image_token_id).long()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = inner(
            input_ids=batch.input_ids[None],
            attention_mask=torch.ones_like(batch.input_ids[None]),
            mm_token_type_ids=types[None],
            pixel_values=batch.patches,
            image_grid_thw=batch.grid_thw,
            use_cache=False,
        )
    return out.last_hidden_state[0]


def our_hidden(model: PreferenceModel, batch: Batch) -> torch.Tensor:
    with torch.inference_mode():
        return model.model(
            batch.input_ids,
            positions=batch.positions,
            cu_seqlens=batch.cu_seqlens,
            patches=batch.patches,
            grid_thw=batch.grid_thw,
        ).hidden


@pytest.mark.parametrize("sharded", [False, True], ids=["single", "sharded"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize(
    "kind",
    [
        transformers.Qwen3_5ForConditionalGeneration,
        transformers.Qwen3_5Model,
        transformers.AutoModelForImageTextToText,
    ],
    ids=lambda kind: kind.__name__,
)
def test_transformers_loads_what_we_save(
    tmp_path: Path, batch: Batch, kind: Any, tied: bool, sharded: bool
) -> None:
    model = make_tiny_checkpoint(tmp_path / "a", config=tiny_config(tied=tied), sharded=sharded)
    theirs, info = stock(kind, tmp_path / "a")
    assert not info["missing_keys"]
    assert not info["mismatched_keys"]
    # The heads are ours; nothing of the backbone is left over.
    assert all("_head." in key for key in info["unexpected_keys"])
    assert relative_rms(our_hidden(model, batch), stock_hidden(theirs, batch)) <= LIMIT


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize(
    "kind",
    [transformers.Qwen3_5ForConditionalGeneration, transformers.Qwen3_5Model],
    ids=lambda kind: kind.__name__,
)
@pytest.mark.parametrize("shard_size", ["5GB", "200KB"])
def test_we_load_what_transformers_saves(
    tmp_path: Path, batch: Batch, kind: Any, tied: bool, shard_size: str
) -> None:
    config = tiny_config(tied=tied)
    make_tiny_hf_checkpoint(tmp_path / "a", config=config)
    theirs, _ = stock(kind, tmp_path / "a")
    theirs.save_pretrained(tmp_path / "b", max_shard_size=shard_size)
    config_json = json.loads((tmp_path / "b" / "config.json").read_text())
    assert ("lm_head.weight" in CheckpointReader(tmp_path / "b").shapes) <= (not tied)
    assert config_json["model_type"] == "qwen3_5"
    model = PreferenceModel.from_pretrained(tmp_path / "b", heads=tiny_heads(hidden_size=48))
    assert model.model.config.text.layer_types == config.text.layer_types
    assert relative_rms(our_hidden(model, batch), stock_hidden(theirs, batch)) <= LIMIT


def test_a_bfloat16_folder_means_the_same_to_both(tmp_path: Path, batch: Batch) -> None:
    make_tiny_hf_checkpoint(tmp_path / "a", dtype=torch.bfloat16)
    theirs, info = stock(transformers.Qwen3_5ForConditionalGeneration, tmp_path / "a")
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    model = PreferenceModel.from_pretrained(tmp_path / "a", heads=tiny_heads(hidden_size=48))
    for name, tensor in theirs.model.state_dict().items():
        assert torch.equal(model.model.state_dict()[name], tensor), name
    assert relative_rms(our_hidden(model, batch), stock_hidden(theirs, batch)) <= LIMIT


def test_the_stock_backbone_scores_the_same_under_our_heads(tmp_path: Path, batch: Batch) -> None:
    make_tiny_checkpoint(tmp_path / "a", sharded=True)
    native = PreferenceModel.from_pretrained(tmp_path / "a")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = PreferenceModel.from_pretrained(tmp_path / "a", backbone="transformers")
        with torch.inference_mode():
            theirs = other(batch)
    with torch.inference_mode():
        ours = native(batch)
    assert other.state_dict().keys() == native.state_dict().keys()
    for name, out in ours.items():
        assert relative_rms(out.mean, theirs[name].mean) <= LIMIT
    # And it is saved as the same checkpoint.
    other.save_pretrained(tmp_path / "b", processor=tiny_processor())
    again = PreferenceModel.from_pretrained(tmp_path / "b").state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in native.state_dict().items())


def test_transformers_reads_the_files_beside_the_weights(tmp_path: Path) -> None:
    make_tiny_checkpoint(tmp_path / "a")
    processor = tiny_processor()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "a")
        images = transformers.AutoImageProcessor.from_pretrained(tmp_path / "a", backend="pil")
    text = "<|im_start|>user\n" + PROMPT
    ours = [
        *processor.tokenizer.encode_literal("<|im_start|>user\n"),
        *processor.tokenizer.encode_user(PROMPT),
    ]
    assert tokenizer(text)["input_ids"] == ours
    assert tokenizer.eos_token == "<|im_end|>"
    image = np.random.default_rng(0).integers(0, 256, (600, 400, 3), dtype=np.uint8)
    sample = processor.prepare(image, PROMPT).sample
    theirs = images(images=[image], return_tensors="pt")
    assert torch.equal(theirs["image_grid_thw"], sample.grid_thw)
    torch.testing.assert_close(theirs["pixel_values"], sample.patches, atol=1e-6, rtol=0)


def test_a_config_survives_the_way_there_and_back(tmp_path: Path) -> None:
    config = tiny_config()
    make_tiny_hf_checkpoint(tmp_path / "a", config=config)
    theirs = transformers.AutoConfig.from_pretrained(tmp_path / "a")
    theirs.save_pretrained(tmp_path / "b")
    back, described = read_config(tmp_path / "b")
    assert described is None
    assert back == config


def test_transformers_accepts_our_file_format(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a", {"x": torch.ones(2)}, config={})
    from safetensors import safe_open

    with safe_open(tmp_path / "a" / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert list(file.keys()) == ["x"]
