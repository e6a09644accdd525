"""Three tokenizers that everything about text has to hold for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from librehps.inputs.byte_tokenizer import QWEN3_5_TOKEN_IDS, byte_level_tokenizer_json
from librehps.inputs.tokens import PromptTokenizer
from librehps.testing.tokenizer import TINY_TOKEN_IDS, tiny_tokenizer_json


def saved_by_transformers(folder: Path) -> str:
    """Save a Qwen3.5 tokenizer as users do, special tokens and others added as an afterthought."""
    from transformers import Qwen3_5Tokenizer

    model = json.loads(tiny_tokenizer_json())["model"]
    ordinary = [token for token in model["vocab"] if token not in TINY_TOKEN_IDS]
    stock = Qwen3_5Tokenizer(
        vocab={token: i for i, token in enumerate(ordinary)},
        merges=[tuple(pair) for pair in model["merges"]],
    )
    special = list(QWEN3_5_TOKEN_IDS)
    stock.add_special_tokens({"additional_special_tokens": special[:-2]})
    stock.add_tokens([*special[-2:], "<|Reward|>", "fox"])
    stock.save_pretrained(folder)
    return (folder / "tokenizer.json").read_text()


@pytest.fixture(scope="session", params=["tiny", "bytes", "transformers"])
def tokenizer(request, tmp_path_factory) -> PromptTokenizer:
    if request.param == "tiny":
        return PromptTokenizer(tiny_tokenizer_json())
    if request.param == "bytes":
        return PromptTokenizer(byte_level_tokenizer_json(QWEN3_5_TOKEN_IDS))
    return PromptTokenizer(saved_by_transformers(tmp_path_factory.mktemp("stock")))
