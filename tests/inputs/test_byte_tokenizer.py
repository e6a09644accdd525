"""Bytes are ids, special tokens sit where they are asked to, and transformers agrees."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

from librehps.errors import ConfigError
from librehps.inputs.byte_tokenizer import (
    QWEN3_5_TOKEN_IDS,
    byte_level_tokenizer_json,
    byte_symbols,
    learn_merges,
)

REAL = Tokenizer.from_str(byte_level_tokenizer_json(QWEN3_5_TOKEN_IDS))


def test_there_is_one_symbol_per_byte():
    assert len(byte_symbols()) == 256
    assert set(byte_symbols()) == set(ByteLevel.alphabet())


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_ids_are_the_bytes_of_the_normalised_text(text):
    if "<" in text:
        text = text.replace("<", "")
    assert REAL.encode(text).ids == list(unicodedata.normalize("NFC", text).encode())


def test_special_tokens_have_the_ids_that_were_asked_for():
    text = "".join(f"{token}x" for token in QWEN3_5_TOKEN_IDS)
    expected = [i for token_id in QWEN3_5_TOKEN_IDS.values() for i in (token_id, ord("x"))]
    assert REAL.encode(text).ids == expected
    added = REAL.get_added_tokens_decoder()
    assert {added[token_id].content: token_id for token_id in added} == dict(QWEN3_5_TOKEN_IDS)
    assert [added[i].special for i in (248056, 248068)] == [True, False]


def test_merges_take_the_free_ids():
    text = byte_level_tokenizer_json({"<|a|>": 257}, merges=[("a", "b"), ("ab", "c")])
    assert Tokenizer.from_str(text).encode("ab<|a|>abcd").ids == [256, 257, 258, ord("d")]


@pytest.mark.parametrize("ids", [{"<|a|>": 255}, {"<|a|>": -1}, {"<|a|>": 300, "<|b|>": 300}])
def test_ids_that_are_taken_are_refused(ids):
    with pytest.raises(ConfigError) as caught:
        byte_level_tokenizer_json(ids)
    assert caught.value.code == "token_id_taken"


def test_no_special_token_is_needed():
    assert Tokenizer.from_str(byte_level_tokenizer_json({})).encode("a<b").ids == list(b"a<b")


@pytest.mark.parametrize(
    "tokenizer_class", ["PreTrainedTokenizerFast", "Qwen2TokenizerFast", "Qwen3_5Tokenizer"]
)
def test_transformers_reads_it_and_gives_the_same_ids(tmp_path, tokenizer_class):
    from transformers import AutoTokenizer

    (tmp_path / "tokenizer.json").write_text(byte_level_tokenizer_json(QWEN3_5_TOKEN_IDS))
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": tokenizer_class})
    )
    stock = AutoTokenizer.from_pretrained(tmp_path)
    text = "Two foxes,  e\u0301é 42\n<|image_pad|>👩‍👧<think>"
    assert stock(text).input_ids == REAL.encode(text).ids


def test_learnt_merges_join_the_words_of_the_texts():
    texts = ["two red stars", "a red star above a red ring"] * 5
    merges = learn_merges(texts, count=40)
    assert len(merges) <= 40
    assert learn_merges(texts, count=40) == merges
    special = {"<|endoftext|>": 300, "<|im_end|>": 301}
    tokenizer = Tokenizer.from_str(byte_level_tokenizer_json(special, merges=merges))
    plain = Tokenizer.from_str(byte_level_tokenizer_json(special))
    for text in ("two red stars", "a red ring"):
        assert len(tokenizer.encode(text).ids) == len(text.split())
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    # What was never seen is bytes, as before.
    assert tokenizer.encode("жук").ids == plain.encode("жук").ids
    assert learn_merges([], count=5) == []
