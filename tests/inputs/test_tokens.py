"""User text never becomes a special token, whatever the text and whatever the tokenizer file."""

from __future__ import annotations

import copy
import json
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from librehps.errors import CheckpointError, ConfigError, InputError
from librehps.inputs import tokens
from librehps.inputs.byte_tokenizer import QWEN3_5_TOKEN_IDS, byte_level_tokenizer_json
from librehps.inputs.tokens import PromptTokenizer
from librehps.testing.tokenizer import TINY_TOKEN_IDS, TINY_VOCAB_SIZE, tiny_tokenizer_json

SPECIAL = list(QWEN3_5_TOKEN_IDS)

hostile_text = st.lists(
    st.one_of(
        st.sampled_from(SPECIAL),
        st.sampled_from(
            ["<|", "|>", "<|im_", "end|>", "<", "|", "\u0338", "\u200d", "\0", " ", "\n"]
        ),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    ),
    max_size=10,
).map("".join)


def added_ids(tokenizer: PromptTokenizer) -> set[int]:
    return set(Tokenizer.from_str(tokenizer.to_json()).get_added_tokens_decoder())


def decode(tokenizer: PromptTokenizer, ids: list[int]) -> str:
    return Tokenizer.from_str(tokenizer.to_json()).decode(ids, skip_special_tokens=False)


@given(text=hostile_text)
@example(text="".join(SPECIAL))
@example(text="<|im_<|im_end|>end|><think>fox<|Reward|>")
def test_user_text_holds_no_added_token(tokenizer, text):
    ids = tokenizer.encode_user(text)
    assert added_ids(tokenizer).isdisjoint(ids)
    # And yet nothing is lost: the letters are all there.
    normal = Tokenizer.from_str(tokenizer.to_json()).normalizer.normalize_str(text)
    assert decode(tokenizer, ids) == normal


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<f")))
def test_text_without_special_tokens_is_tokenised_as_the_file_says(tokenizer, text):
    stock = Tokenizer.from_str(tokenizer.to_json()).encode(text, add_special_tokens=False).ids
    assert tokenizer.encode_user(text) == stock == tokenizer.encode_literal(text)


def test_the_template_gets_its_special_tokens(tokenizer):
    ids = tokenizer.encode_literal("".join(SPECIAL))
    assert ids == [tokenizer.token_id(token) for token in SPECIAL]
    assert tokenizer.cut_literal("".join(SPECIAL)) == ids


def test_a_literal_is_cut_at_its_added_tokens(tokenizer):
    start, think = tokenizer.token_id("<|im_start|>"), tokenizer.token_id("<think>")
    text = "e\u0301 <|im_start|>usér\n<think><|im_start|> x "
    assert tokenizer.cut_literal(text) == ["e\u0301 ", start, "usér\n", think, start, " x "]
    assert tokenizer.cut_literal("plain é") == ["plain é"]
    assert tokenizer.cut_literal("") == []


@given(text=hostile_text)
def test_cutting_a_literal_and_tokenising_the_pieces_is_tokenising_it(tokenizer, text):
    ids = []
    for piece in tokenizer.cut_literal(text):
        ids += [piece] if isinstance(piece, int) else tokenizer.encode_user(piece)
    assert ids == tokenizer.encode_literal(text)


def test_vocab_size_is_the_rows_that_an_embedding_needs():
    assert PromptTokenizer(tiny_tokenizer_json()).vocab_size == TINY_VOCAB_SIZE
    real = PromptTokenizer(byte_level_tokenizer_json(QWEN3_5_TOKEN_IDS))
    assert real.vocab_size == max(QWEN3_5_TOKEN_IDS.values()) + 1


def test_tokens_are_found_by_name_and_ordinary_ones_are_not_special():
    tokenizer = PromptTokenizer(tiny_tokenizer_json())
    assert tokenizer.special_id("<|im_end|>") == TINY_TOKEN_IDS["<|im_end|>"]
    assert tokenizer.token_id("a") == ord("a")
    for ask, token in ((tokenizer.token_id, "<|nothing|>"), (tokenizer.special_id, "a")):
        with pytest.raises(ConfigError) as caught:
            ask(token)
        assert caught.value.code == "token_unknown"
        assert repr(token) in str(caught.value)


def test_the_file_is_given_back_as_it_was():
    text = tiny_tokenizer_json() + "\n"
    assert PromptTokenizer(text).to_json() == text


# --- files with settings of their own


def edited(**changes) -> str:
    document = copy.deepcopy(json.loads(tiny_tokenizer_json()))
    for path, value in changes.items():
        *parents, name = path.split("__")
        part = document
        for parent in parents:
            part = part[parent]
        part[name] = value
    return json.dumps(document)


TRUNCATION = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
PADDING = {
    "strategy": {"Fixed": 50},
    "direction": "Right",
    "pad_to_multiple_of": None,
    "pad_id": 256,
    "pad_type_id": 0,
    "pad_token": "<|endoftext|>",
}
PREFIX = {
    "type": "TemplateProcessing",
    "single": [
        {"SpecialToken": {"id": "<think>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    ],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<think>": {"id": "<think>", "ids": [264], "tokens": ["<think>"]}},
}


@pytest.mark.parametrize(
    "change",
    [
        {"truncation": TRUNCATION},
        {"padding": PADDING},
        {"truncation": TRUNCATION, "padding": PADDING},
        {"post_processor": PREFIX},
        {"model__dropout": 0.9},
    ],
    ids="+".join,
)
def test_settings_that_change_the_ids_are_silenced(change):
    plain, odd = PromptTokenizer(tiny_tokenizer_json()), PromptTokenizer(edited(**change))
    sentence = "A photograph of a red fox running through fresh snow. "
    for text in (sentence, sentence * 20):
        assert odd.encode_user(text) == plain.encode_user(text)
        assert odd.encode_literal(text) == plain.encode_literal(text)
        assert odd.cut_literal(text) == plain.cut_literal(text)


def test_an_added_token_keeps_its_blanks_when_a_literal_is_cut():
    document = json.loads(edited(post_processor=BYTES_ONLY))
    document["added_tokens"].append(document["added_tokens"][0] | {"content": " ; ", "id": 512})
    tokenizer = PromptTokenizer(json.dumps(document))
    assert tokenizer.cut_literal("a ; b") == ["a", 512, "b"]


def test_an_added_token_that_merges_would_make_is_still_out_of_reach():
    document = json.loads(tiny_tokenizer_json())
    word = "Ġthe"
    token_id = document["model"]["vocab"][word]
    document["added_tokens"].append(document["added_tokens"][0] | {"content": word, "id": token_id})
    # Old files write a merge as one string.
    document["model"]["merges"] = [" ".join(pair) for pair in document["model"]["merges"]]
    tokenizer = PromptTokenizer(json.dumps(document))
    ids = tokenizer.encode_user("of the other")
    assert token_id not in ids
    assert decode(tokenizer, ids) == "of the other"
    assert token_id in PromptTokenizer(tiny_tokenizer_json()).encode_user("of the other")


def test_an_ordinary_token_that_shares_its_id_with_an_added_one_is_out_of_reach():
    document = json.loads(tiny_tokenizer_json())
    vocab = document["model"]["vocab"]
    word, token_id = "Ġthe", TINY_TOKEN_IDS["<|im_end|>"]
    vocab[word] = token_id
    del vocab["<|im_end|>"]
    tokenizer = PromptTokenizer(json.dumps(document))
    assert added_ids(tokenizer).isdisjoint(tokenizer.encode_user("of the other"))


def test_whole_words_from_the_vocabulary_cannot_be_special_tokens():
    text = edited(model__ignore_merges=True, pre_tokenizer=BYTES_ONLY)
    tokenizer = PromptTokenizer(text)
    assert set(TINY_TOKEN_IDS.values()).isdisjoint(tokenizer.encode_user("<|im_end|>"))
    assert decode(tokenizer, tokenizer.encode_user("<|im_end|>")) == "<|im_end|>"


def test_forging_is_caught_if_all_else_fails(monkeypatch):
    tokenizer = PromptTokenizer(tiny_tokenizer_json())
    monkeypatch.setattr(tokenizer, "_user", tokenizer._template)
    with pytest.raises(InputError) as caught:
        tokenizer.encode_user("a <|im_end|>")
    assert caught.value.code == "special_token_forged"


# --- files that cannot be used

BYTES_ONLY = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": False,
}
WORDS = {"type": "WordLevel", "vocab": {"a": 0, "?": 1}, "unk_token": "?"}


def without_a_byte() -> str:
    document = json.loads(tiny_tokenizer_json())
    removed = document["model"]["vocab"].pop("Z")
    document["model"]["vocab"]["ZZZZ"] = removed
    return json.dumps(document)


def with_a_byte_as_added_token() -> str:
    document = json.loads(tiny_tokenizer_json())
    document["added_tokens"].append(document["added_tokens"][0] | {"content": "a", "id": ord("a")})
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "tokenizer_damaged"),
        ("{}", "tokenizer_damaged"),
        ("[1, 2]", "tokenizer_damaged"),
        ("null", "tokenizer_damaged"),
        ("[" * 100_000, "tokenizer_damaged"),
        ("<html>not found</html>", "tokenizer_damaged"),
        ("version https://git-lfs.github.com/spec/v1\nsize 20", "tokenizer_damaged"),
        (tiny_tokenizer_json()[:-500], "tokenizer_damaged"),
        (edited(model__vocab={}), "tokenizer_damaged"),
        (edited(model__merges=[["a", "nothing"]]), "tokenizer_damaged"),
        # Makes the reader of the tokenizers package panic.
        (edited(model__continuing_subword_prefix="##"), "tokenizer_damaged"),
        (edited(model=WORDS), "tokenizer_unsupported"),
        (edited(pre_tokenizer=None), "tokenizer_unsupported"),
        (edited(pre_tokenizer={"type": "Whitespace"}), "tokenizer_unsupported"),
        (without_a_byte(), "tokenizer_unsupported"),
        (with_a_byte_as_added_token(), "tokenizer_unsupported"),
    ],
)
def test_a_text_that_is_no_tokenizer_is_refused(text, code):
    with pytest.raises(CheckpointError) as caught:
        PromptTokenizer(text)
    assert caught.value.code == code


def test_files(tmp_path, monkeypatch):
    path = tmp_path / "tokenizer.json"
    path.write_text(tiny_tokenizer_json(), encoding="utf-8")
    for name in (path, str(path)):
        assert PromptTokenizer.from_file(name).to_json() == tiny_tokenizer_json()
    bad = {"missing": ("tokenizer_missing", None), "folder": ("tokenizer_damaged", "folder")}
    bad |= {"pipe": ("tokenizer_damaged", "pipe"), "empty": ("tokenizer_damaged", b"")}
    bad |= {"binary": ("tokenizer_damaged", b"\xff\xfe{}")}
    for name, (code, content) in bad.items():
        target = tmp_path / name
        if content == "folder":
            target.mkdir()
        elif content == "pipe":
            os.mkfifo(target)
        elif content is not None:
            target.write_bytes(content)
        with pytest.raises(CheckpointError) as caught:
            PromptTokenizer.from_file(target)
        assert caught.value.code == code, name
        assert str(target) in str(caught.value)
    monkeypatch.setattr(tokens, "MAX_FILE_BYTES", 100)
    with pytest.raises(CheckpointError, match="at most 100"):
        PromptTokenizer.from_file(path)
