"""New checkpoints: the same seed gives the same weights, and every preset has its tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from librehps.cli.fresh import Fresh, check_target, read_template, token_ids
from librehps.errors import CheckpointError, ConfigError
from librehps.heads import HEADS
from librehps.inputs.byte_tokenizer import byte_level_tokenizer_json
from librehps.inputs.prompt import DEFAULT_TEMPLATE, PromptTemplate
from librehps.inputs.resize import PixelBudget
from librehps.inputs.tokens import PromptTokenizer
from librehps.modeling import PRESETS
from librehps.processing import make_processor
from librehps.testing.tiny import (
    make_tiny_checkpoint,
    make_tiny_hf_checkpoint,
    tiny_config,
    tiny_processor,
)


def test_the_seed_decides_and_nothing_else() -> None:
    torch.manual_seed(1)
    first, _ = Fresh.of(seed=7).from_preset("nano")
    torch.manual_seed(2)
    again, _ = Fresh.of(seed=7).from_preset("nano")
    other, _ = Fresh.of(seed=8).from_preset("nano")
    same = again.state_dict()
    assert all(torch.equal(value, same[name]) for name, value in first.state_dict().items())
    for name in ("multi_axis_head.weight", "model.language_model.embed_tokens.weight"):
        assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_weights_have_the_dtype_that_was_asked_for() -> None:
    model, _ = Fresh.of(dtype="bfloat16").from_preset("nano")
    dtypes = {name: value.dtype for name, value in model.state_dict().items()}
    wide = {name for name, dtype in dtypes.items() if dtype == torch.float32}
    assert {name.rpartition("linear_attn.")[2] for name in wide if "linear_attn" in name} == {
        "A_log",
        "norm.weight",
    }
    assert {name for name in wide if "linear_attn" not in name} == {
        "multi_axis_head.weight",
        "multi_axis_head.bias",
    }
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_has_a_tokenizer_that_fits(name: str) -> None:
    config = PRESETS[name]
    words = PromptTokenizer.from_json(byte_level_tokenizer_json(token_ids(config)))
    processor = make_processor(config, words)
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    sample = processor.prepare(image, "hä? <|image_pad|>").sample
    assert int((sample.input_ids == config.image_token_id).sum()) == 64
    assert int(sample.input_ids.max()) < config.text.vocab_size
    assert words.token_id("<|vision_start|>") == config.vision_start_token_id
    assert words.token_id("<|vision_end|>") == config.vision_end_token_id
    assert words.token_id("<|video_pad|>") == config.video_token_id


def test_a_tokenizer_of_another_size_is_refused(tmp_path: Path) -> None:
    words = tmp_path / "tokenizer.json"
    words.write_text(byte_level_tokenizer_json(token_ids(PRESETS["4b"])))
    with pytest.raises(CheckpointError) as caught:
        Fresh.of().from_preset("nano", tokenizer=words)
    assert caught.value.code == "tokenizer_mismatch"


def test_the_backbone_of_a_source_is_kept(tmp_path: Path) -> None:
    backbone = make_tiny_hf_checkpoint(tmp_path / "qwen")
    model, processor = Fresh.of(dtype="float32", pooling="mean").from_weights(
        str(tmp_path / "qwen")
    )
    kept = model.model.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in backbone.state_dict().items())
    assert (model.pooling, model.trained, processor.template) == ("mean", False, DEFAULT_TEMPLATE)


def test_heads_of_a_reward_checkpoint_are_replaced(tmp_path: Path) -> None:
    trained = make_tiny_checkpoint(tmp_path / "model", trained=True)
    model, _ = Fresh.of(dtype="float32", axes=["overall"]).from_weights(str(tmp_path / "model"))
    assert list(model.heads) == ["multi_axis"]
    assert (model.axes, model.trained) == (("overall",), False)
    kept = model.model.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in trained.model.state_dict().items())


def test_a_target_is_new_or_empty(tmp_path: Path) -> None:
    check_target(tmp_path / "new" / "deep")
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / "empty")
    with pytest.raises(CheckpointError):
        check_target(tmp_path)


def test_a_template_is_text_or_json(tmp_path: Path) -> None:
    text = "{rules} {prompt} {image}"
    (tmp_path / "t.json").write_text(json.dumps({"text": text, "fields": {"rules": "be kind"}}))
    assert read_template(tmp_path / "t.json").fields == {"rules": "be kind"}
    (tmp_path / "t.txt").write_text("{prompt} {image}")
    assert read_template(tmp_path / "t.txt").text == "{prompt} {image}"


@pytest.mark.parametrize(
    ("name", "content"), [("a.json", "{"), ("b.json", "[]"), ("c.txt", "{prompt}"), ("d.txt", "")]
)
def test_what_is_no_template_is_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError) as caught:
        read_template(tmp_path / name)
    assert caught.value.code.startswith("template_")


def test_a_target_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError) as caught:
        check_target(tmp_path / "file" / "model")
    assert caught.value.code == "ckpt_unwritable"


def test_marked_pooling_needs_a_mark(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("{prompt} {image}")
    with pytest.raises(ConfigError, match="'marked'"):
        Fresh.of(pooling="marked", template=tmp_path / "t.txt")
    (tmp_path / "t.txt").write_text("{prompt} {image}{mark}")
    assert Fresh.of(pooling="marked", template=tmp_path / "t.txt").pooling == "marked"


def test_a_reward_model_keeps_its_template_budget_and_limit(tmp_path: Path) -> None:
    words = PromptTemplate(text="{prompt} {image}!")
    tiny = tiny_processor()
    budget = PixelBudget(min_pixels=4096, max_pixels=9216, factor=tiny.budget.factor)
    own = make_processor(
        tiny_config(), tiny.tokenizer, template=words, budget=budget, max_prompt_tokens=77
    )
    make_tiny_checkpoint(tmp_path / "tiny", processor=own)
    _, kept = Fresh.of().from_weights(str(tmp_path / "tiny"))
    assert (kept.template, kept.budget, kept.max_prompt_tokens) == (words, budget, 77)
    other = tmp_path / "other.txt"
    other.write_text("{image}{prompt}")
    _, changed = Fresh.of(template=other, max_pixels=16_384).from_weights(str(tmp_path / "tiny"))
    assert changed.template.text == "{image}{prompt}"
    assert (changed.budget.min_pixels, changed.budget.max_pixels) == (4096, 16_384)
    with pytest.raises(ConfigError, match="'marked'"):
        Fresh.of(pooling="marked").from_weights(str(tmp_path / "tiny"))


@pytest.mark.parametrize("kind", list(HEADS))
def test_every_head_can_be_asked_for(kind: str) -> None:
    first, again = (Fresh.of(head=kind, seed=3).from_preset("nano")[0] for _ in range(2))
    (head,) = first.heads.values()
    assert head.to_config()["kind"] == kind
    same = again.state_dict()
    assert all(torch.equal(value, same[name]) for name, value in first.state_dict().items())


def test_axes_are_for_heads_that_have_a_choice() -> None:
    with pytest.raises(ConfigError, match="no setting 'axes'"):
        Fresh.of(head="scalar", axes=["overall", "style"])
    assert Fresh.of(head="axis_tokens", axes=["style"]).draw_head(hidden_size=4).axes == ("style",)
