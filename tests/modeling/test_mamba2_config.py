from __future__ import annotations

import copy
import json
from math import inf, nan
from typing import Any

import pytest
from transformers import Mamba2Config as StockConfig

from librehps.errors import ConfigError
from librehps.modeling import Mamba2Config, Qwen3_5Config
from librehps.testing.tiny import tiny_config

SHAPE = Mamba2Config(
    num_heads=6, head_dim=24, state_size=20, n_groups=3, time_step_limit=(0.01, inf)
)


def read(**changes: Any) -> Mamba2Config:
    return Mamba2Config.from_hf(SHAPE.to_hf() | changes, hidden_size=72)


def test_it_survives_its_json_file() -> None:
    text = json.dumps(SHAPE.to_hf(), allow_nan=False)
    assert Mamba2Config.from_hf(json.loads(text), hidden_size=72) == SHAPE
    limited = Mamba2Config(num_heads=8, use_bias=True, time_step_limit=(0.0, 2.5))
    assert Mamba2Config.from_hf(limited.to_hf(), hidden_size=72) == limited


def test_settings_have_the_names_and_defaults_of_transformers() -> None:
    theirs = StockConfig().to_dict()
    ours = Mamba2Config(num_heads=theirs["num_heads"])
    for name in ours.to_hf():
        value = theirs[name]
        assert getattr(ours, name, "silu") == (tuple(value) if isinstance(value, list) else value)


def test_what_has_no_influence_may_be_there() -> None:
    assert read(chunk_size=256, time_step_rank=5, expand=2, norm_before_gate=False) == SHAPE
    # Older files hold a bare infinity.
    assert read(time_step_limit=[0.01, inf]) == SHAPE
    assert read(time_step_limit=[1, 2]).time_step_limit == (1.0, 2.0)


@pytest.mark.parametrize(
    ("values", "item"),
    [
        ({"num_heads": 0}, "num_heads"),
        ({"num_heads": True}, "num_heads"),
        ({"num_heads": 6.0}, "num_heads"),
        ({"head_dim": -1}, "head_dim"),
        ({"state_size": "20"}, "state_size"),
        ({"n_groups": 4}, "n_groups"),
        ({"conv_kernel": 1}, "conv_kernel"),
        ({"use_bias": 1}, "use_bias"),
        ({"use_conv_bias": None}, "use_conv_bias"),
        ({"layer_norm_epsilon": 0.0}, "layer_norm_epsilon"),
        ({"time_step_min": nan}, "time_step_min"),
        ({"time_step_min": 0.2}, "time_step_min"),
        ({"time_step_max": inf}, "time_step_max"),
        ({"time_step_floor": -1.0}, "time_step_floor"),
        ({"time_step_limit": 0.5}, "time_step_limit"),
        ({"time_step_limit": [0.5]}, "time_step_limit"),
        ({"time_step_limit": [0.5, "1"]}, "time_step_limit"),
        ({"time_step_limit": [0.5, True]}, "time_step_limit"),
        ({"time_step_limit": [0.5, 0.5]}, "time_step_limit"),
        ({"time_step_limit": [-0.5, 0.5]}, "time_step_limit"),
        ({"time_step_limit": [nan, 0.5]}, "time_step_limit"),
        ({"time_step_limit": [0.0, {"__float__": "NaN"}]}, "time_step_limit"),
        ({"expand": 3}, "expand"),
        ({"expand": "2"}, "expand"),
        ({"expand": {}}, "expand"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"norm_before_gate": True}, "norm_before_gate"),
        ({"d_state": 20}, ""),
    ],
    ids=str,
)
def test_what_cannot_be_honoured_is_refused_by_name(values: dict[str, Any], item: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**values)
    name = "text_config.mamba2" + (f".{item}" if item else "")
    assert (caught.value.code, caught.value.item) == ("config_value", name)


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="num_heads") as caught:
        Mamba2Config.from_hf({"head_dim": 8}, hidden_size=72)
    assert (caught.value.code, caught.value.item) == ("config_missing", "text_config.mamba2")


def file(**changes: Any) -> dict[str, Any]:
    mapping = copy.deepcopy(tiny_config(layer_types=("mamba2", "full_attention")).to_hf())
    mapping["text_config"].update(changes)
    return mapping


def test_it_is_a_part_of_the_text_config() -> None:
    config = tiny_config(layer_types=("mamba2", "full_attention"))
    assert Qwen3_5Config.from_hf(json.loads(json.dumps(config.to_hf()))) == config
    # Qwen's own files are written without it.
    assert "mamba2" not in tiny_config().to_hf()["text_config"]


@pytest.mark.parametrize(
    ("part", "code", "item"),
    [
        (None, "config_missing", "text_config.mamba2"),
        ([1], "config_value", "text_config.mamba2"),
        ({"num_heads": 5, "n_groups": 1, "expand": 2}, "config_value", "text_config.mamba2.expand"),
    ],
    ids=["none", "no mapping", "another width"],
)
def test_the_text_config_refuses_what_is_no_mixer(part: Any, code: str, item: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Qwen3_5Config.from_hf(file(mamba2=part))
    assert (caught.value.code, caught.value.item) == (code, item)


def test_a_file_that_forgets_it_is_refused() -> None:
    mapping = file()
    del mapping["text_config"]["mamba2"]
    with pytest.raises(ConfigError, match="names mamba2") as caught:
        Qwen3_5Config.from_hf(mapping)
    assert caught.value.code == "config_missing"
