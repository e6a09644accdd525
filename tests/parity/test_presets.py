"""The published sizes against transformers' own build of their configs, on the meta device."""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen3_5Config as StockConfig
from transformers import Qwen3_5ForConditionalGeneration

from librehps.modeling import PRESETS, Qwen3_5Backbone, Qwen3_5Config


@pytest.mark.parametrize("size", PRESETS)
def test_names_and_shapes_are_those_of_transformers(size: str) -> None:
    config = PRESETS[size]
    with torch.device("meta"):
        stock = Qwen3_5ForConditionalGeneration(StockConfig(**config.to_hf()))
        native = Qwen3_5Backbone(config)
    expected = {name: tuple(tensor.shape) for name, tensor in stock.state_dict().items()}
    expected.pop("lm_head.weight")
    found = {f"model.{name}": tuple(tensor.shape) for name, tensor in native.state_dict().items()}
    assert found == expected


@pytest.mark.parametrize("size", PRESETS)
def test_a_config_survives_transformers(size: str) -> None:
    config = PRESETS[size]
    stock = StockConfig(**config.to_hf()).to_dict()
    read = Qwen3_5Config.from_hf(stock)
    assert read == config
    assert StockConfig(**read.to_hf()).to_dict() == stock
