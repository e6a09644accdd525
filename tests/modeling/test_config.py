from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch

from librehps.errors import ConfigError
from librehps.modeling import PRESETS, Qwen3_5Backbone, Qwen3_5Config

NANO = PRESETS["nano"]


def changed(section: str | None, **values: Any) -> dict[str, Any]:
    mapping = copy.deepcopy(NANO.to_hf())
    (mapping if section is None else mapping[section]).update(values)
    return mapping


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_survives_its_json_file(name: str) -> None:
    config = PRESETS[name]
    assert Qwen3_5Config.from_hf(json.loads(json.dumps(config.to_hf()))) == config


@pytest.mark.parametrize("name", PRESETS)
def test_the_predicted_number_of_parameters_is_the_real_one(name: str) -> None:
    with torch.device("meta"):
        model = Qwen3_5Backbone(PRESETS[name])
    assert PRESETS[name].num_params() == sum(p.numel() for p in model.parameters())


def test_4b_has_the_published_number_of_parameters() -> None:
    assert PRESETS["4b"].num_params() == 4_539_265_536
    assert PRESETS["4b"].num_params(include_mtp=True) == 4_659_865_088


def test_an_interval_stands_for_the_layer_types() -> None:
    mapping = changed("text_config", num_hidden_layers=5, full_attention_interval=2)
    del mapping["text_config"]["layer_types"]
    linear, full = "linear_attention", "full_attention"
    assert Qwen3_5Config.from_hf(mapping).text.layer_types == (linear, full, linear, full, linear)


def test_older_files_are_read() -> None:
    mapping = changed("vision_config", model_type="qwen3_5", patch_size=[16, 16])
    mapping["text_config"]["eos_token_id"] = [480, 482]
    mapping["text_config"]["rope_parameters"]["rope_theta"] = 10_000
    del mapping["vision_config"]["rope_parameters"]
    config = Qwen3_5Config.from_hf(mapping)
    assert config.vision == NANO.vision
    assert config.text.eos_token_id == (480, 482)
    assert config.to_hf()["text_config"]["eos_token_id"] == [480, 482]


@pytest.mark.parametrize(
    ("section", "values", "item"),
    [
        ("text_config", {"hidden_act": "gelu"}, "text_config.hidden_act"),
        ("text_config", {"attention_bias": True}, "text_config.attention_bias"),
        ("text_config", {"attn_output_gate": False}, "text_config.attn_output_gate"),
        ("text_config", {"num_hidden_layers": 7}, "text_config.num_hidden_layers"),
        ("text_config", {"hidden_size": "128"}, "text_config.hidden_size"),
        ("text_config", {"head_dim": 0}, "text_config.head_dim"),
        ("text_config", {"head_dim": True}, "text_config.head_dim"),
        ("text_config", {"num_key_value_heads": 3}, "text_config.num_key_value_heads"),
        ("text_config", {"linear_num_value_heads": 6}, "text_config.linear_num_key_heads"),
        ("text_config", {"linear_conv_kernel_dim": 1}, "text_config.linear_conv_kernel_dim"),
        ("text_config", {"layer_types": [], "num_hidden_layers": 0}, "text_config.layer_types"),
        ("text_config", {"hidden_size": 64}, "vision_config.out_hidden_size"),
        ("text_config", {"vocab_size": 492}, "image_token_id"),
        ("vision_config", {"hidden_act": "gelu"}, "vision_config.hidden_act"),
        ("vision_config", {"deepstack_visual_indexes": [1]}, "vision_config.deepstack_visual"),
        ("vision_config", {"patch_size": [16, 14]}, "vision_config.patch_size"),
        ("vision_config", {"num_heads": 5}, "vision_config.hidden_size"),
        ("vision_config", {"num_position_embeddings": 12}, "vision_config.num_position"),
        ("text_config", {"layer_types": 4}, "text_config.layer_types"),
        ("text_config", {"layer_types": [1, 2, 3, 4]}, "text_config.layer_types"),
        ("text_config", {"layer_types": ["full_attention"] * 2000}, "text_config.layer_types"),
        ("text_config", {"num_hidden_layers": 10**9}, "text_config.num_hidden_layers"),
        ("text_config", {"rms_norm_eps": float("nan")}, "text_config.rms_norm_eps"),
        ("text_config", {"rms_norm_eps": -1.0}, "text_config.rms_norm_eps"),
        ("text_config", {"rope_scaling": {"type": "yarn"}}, "text_config.rope_scaling"),
        ("vision_config", {"depth": 10**6}, "vision_config.depth"),
        ("vision_config", {"patch_size": []}, "vision_config.patch_size"),
        ("vision_config", {"patch_size": [{}, {}]}, "vision_config.patch_size"),
        ("vision_config", {"rope_parameters": [1]}, "vision_config.rope_parameters"),
        ("vision_config", {"rope_theta": 0.0, "rope_parameters": None}, "vision_config.rope_theta"),
        (None, {"image_token_id": -1}, "image_token_id"),
        (None, {"image_token_id": True}, "image_token_id"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    section: str | None, values: dict[str, Any], item: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Qwen3_5Config.from_hf(changed(section, **values))
    assert caught.value.code == "config_value"
    assert (caught.value.item or "").startswith(item)


@pytest.mark.parametrize(
    "values",
    [
        {"rope_type": "yarn"},
        {"mrope_interleaved": False},
        {"mrope_section": [2, 3, 3]},
        {"mrope_section": [8]},
        {"mrope_section": [10, -1, -1]},
        {"mrope_section": 8},
        {"partial_rotary_factor": 1.5},
        {"factor": 4.0},
    ],
    ids=str,
)
def test_other_rotations_are_refused(values: dict[str, Any]) -> None:
    mapping = changed(None)
    mapping["text_config"]["rope_parameters"].update(values)
    with pytest.raises(ConfigError) as caught:
        Qwen3_5Config.from_hf(mapping)
    assert (caught.value.item or "").startswith("text_config.rope_parameters")


@pytest.mark.parametrize("theta", [0.0, -1e4, float("inf")])
def test_a_rotation_needs_a_base(theta: float) -> None:
    mapping = changed(None)
    mapping["text_config"]["rope_parameters"]["rope_theta"] = theta
    with pytest.raises(ConfigError) as caught:
        Qwen3_5Config.from_hf(mapping)
    assert (caught.value.code, caught.value.item) == ("config_value", "text_config.rope_theta")


def test_an_empty_section_is_the_usual_one() -> None:
    mapping = PRESETS["4b"].to_hf()
    mapping["text_config"]["rope_parameters"]["mrope_section"] = None
    assert Qwen3_5Config.from_hf(mapping) == PRESETS["4b"]


def test_missing_settings_are_named() -> None:
    mapping = changed(None)
    del mapping["text_config"]["hidden_size"]
    with pytest.raises(ConfigError, match="hidden_size") as caught:
        Qwen3_5Config.from_hf(mapping)
    assert caught.value.code == "config_missing"
    mapping = changed("text_config", rope_parameters={"rope_type": "default"})
    with pytest.raises(ConfigError, match="rope_theta"):
        Qwen3_5Config.from_hf(mapping)
    with pytest.raises(ConfigError, match="vision_config"):
        Qwen3_5Config.from_hf({"model_type": "qwen3_5", "text_config": {}})


def test_another_architecture_is_refused() -> None:
    with pytest.raises(ConfigError, match="qwen2_vl") as caught:
        Qwen3_5Config.from_hf(changed(None, model_type="qwen2_vl"))
    assert caught.value.code == "config_model_type"


def test_a_layer_type_without_mixer_is_refused() -> None:
    names = ["linear_attention", "fool_attention"] * 2
    with pytest.raises(ConfigError, match="full_attention") as caught:
        Qwen3_5Config.from_hf(changed("text_config", layer_types=names))
    assert caught.value.code == "name_unknown"
