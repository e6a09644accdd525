"""The tiny tokenizer: the same everywhere, and read by transformers."""

from __future__ import annotations

import hashlib
import json

import pytest
from tokenizers import Tokenizer

from librehps.testing.tokenizer import TINY_TOKEN_IDS, TINY_VOCAB_SIZE, tiny_tokenizer_json

PLAIN = "A red fox, 12 things;  don't\n\n e\u0301é 图片 👩‍👧\t'S \r\n x"


def test_it_is_the_same_on_every_machine():
    model = json.loads(tiny_tokenizer_json())["model"]
    digest = hashlib.sha256(json.dumps(model["merges"]).encode()).hexdigest()
    assert digest == "dfe6a2b656c4552ad042930c32372b814dac2c1289d70fca5c09e201ec324fac"


def test_every_id_below_the_size_is_used_once():
    tokenizer = Tokenizer.from_str(tiny_tokenizer_json())
    vocab = tokenizer.get_vocab(with_added_tokens=True)
    assert sorted(vocab.values()) == list(range(TINY_VOCAB_SIZE))
    assert {token: vocab[token] for token in TINY_TOKEN_IDS} == dict(TINY_TOKEN_IDS)


def test_common_words_are_one_token_and_nothing_is_lost():
    tokenizer = Tokenizer.from_str(tiny_tokenizer_json())
    assert len(tokenizer.encode(" of the").ids) == 2
    assert tokenizer.decode(tokenizer.encode(PLAIN).ids) == PLAIN.replace("e\u0301", "é")


@pytest.mark.parametrize("tokenizer_class", [None, "Qwen2TokenizerFast", "Qwen3_5Tokenizer"])
def test_transformers_reads_it_and_gives_the_same_ids(tmp_path, tokenizer_class):
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    (tmp_path / "tokenizer.json").write_text(tiny_tokenizer_json())
    reader = PreTrainedTokenizerFast
    if tokenizer_class:
        reader = AutoTokenizer
        config = json.dumps({"tokenizer_class": tokenizer_class})
        (tmp_path / "tokenizer_config.json").write_text(config)
    stock = reader.from_pretrained(tmp_path)
    ours = Tokenizer.from_str(tiny_tokenizer_json())
    text = PLAIN + "<|im_end|>a<think>"
    assert stock(text).input_ids == ours.encode(text).ids
    assert len(stock) == TINY_VOCAB_SIZE
