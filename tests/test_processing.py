"""A checkpoint folder's processor: what its files say, and files that do not belong together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from librehps.errors import CheckpointError
from librehps.inputs.prompt import DEFAULT_TEMPLATE, PromptTemplate
from librehps.inputs.resize import DEFAULT_BUDGET, PixelBudget
from librehps.processing import load_processor
from librehps.testing.tiny import make_tiny_checkpoint, make_tiny_hf_checkpoint, tiny_processor


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_folder_says_what_the_processor_does(tmp_path: Path) -> None:
    template = PromptTemplate(text="{prompt} <|vision_start|>{image}<|vision_end|>")
    budget = PixelBudget(min_pixels=2048, max_pixels=9216)
    make_tiny_checkpoint(tmp_path / "a", processor=tiny_processor(template=template, budget=budget))
    processor = load_processor(tmp_path / "a")
    assert processor.template == template
    assert processor.budget == budget
    assert processor.max_prompt_tokens == 4096


def test_a_folder_without_the_key_gets_the_defaults(tmp_path: Path) -> None:
    make_tiny_hf_checkpoint(tmp_path / "a")
    processor = load_processor(tmp_path / "a")
    assert processor.template == DEFAULT_TEMPLATE
    assert processor.budget == DEFAULT_BUDGET


def test_a_folder_without_the_key_keeps_to_its_preprocessor(tmp_path: Path) -> None:
    make_tiny_hf_checkpoint(tmp_path / "a")
    settings = tmp_path / "a" / "preprocessor_config.json"
    settings.write_text(
        json.dumps({"size": {"shortest_edge": 65536, "longest_edge": 16777216}, "patch_size": 16})
    )
    budget = load_processor(tmp_path / "a").budget
    assert budget == PixelBudget(min_pixels=65536, max_pixels=16777216, factor=32)
    settings.write_text(json.dumps({"min_pixels": 3136, "max_pixels": 200704}))
    budget = load_processor(tmp_path / "a").budget
    assert (budget.min_pixels, budget.max_pixels) == (3136, 200704)
    for useless in ({}, {"size": 448}, {"size": {"shortest_edge": "64", "longest_edge": 128}}):
        settings.write_text(json.dumps(useless))
        with pytest.raises(CheckpointError, match="size of images") as caught:
            load_processor(tmp_path / "a")
        assert caught.value.code == "ckpt_config"


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    make_tiny_checkpoint(tmp_path / "a")
    config = tmp_path / "a" / "config.json"
    original = json.loads(config.read_text())
    edit(config, image_token_id=original["image_token_id"] + 1)
    with pytest.raises(CheckpointError, match="image token") as caught:
        load_processor(tmp_path / "a")
    assert caught.value.code == "tokenizer_mismatch"
    edit(config, **original)
    tokenizer = tmp_path / "a" / "tokenizer.json"
    words = json.loads(tokenizer.read_text())
    words["model"]["vocab"]["one too many"] = original["text_config"]["vocab_size"]
    tokenizer.write_text(json.dumps(words))
    with pytest.raises(CheckpointError, match="embeds") as caught:
        load_processor(tmp_path / "a")
    assert caught.value.code == "tokenizer_mismatch"


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    make_tiny_checkpoint(tmp_path / "a")
    (tmp_path / "a" / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json") as caught:
        load_processor(tmp_path / "a")
    assert caught.value.code == "tokenizer_missing"


def test_a_tokenizer_outside_the_folder_is_refused(tmp_path: Path) -> None:
    make_tiny_checkpoint(tmp_path / "a")
    tokenizer = tmp_path / "a" / "tokenizer.json"
    tokenizer.rename(tmp_path / "elsewhere.json")
    tokenizer.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(CheckpointError, match="outside the checkpoint folder") as caught:
        load_processor(tmp_path / "a")
    assert caught.value.code == "ckpt_index_outside"
