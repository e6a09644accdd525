"""Templates say where things go, and refuse to be ambiguous; prompts are checked before use."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from librehps.errors import ConfigError, InputError
from librehps.inputs.prompt import (
    DEFAULT_TEMPLATE,
    MAX_PROMPT_BYTES,
    ImageSlot,
    LiteralText,
    MarkSlot,
    PromptTemplate,
    UserText,
    check_prompt,
)


def test_segments_of_a_template_with_everything():
    template = PromptTemplate(
        "<|im_start|>{{{ask}}}{image} and {prompt}!{mark}", {"ask": "How {nice}?"}
    )
    segments = template.segments("a {prompt} <|im_end|>")
    assert segments == [
        LiteralText("<|im_start|>{"),
        UserText("How {nice}?"),
        LiteralText("}"),
        ImageSlot(),
        LiteralText(" and "),
        UserText("a {prompt} <|im_end|>"),
        LiteralText("!"),
        MarkSlot(),
    ]


def test_the_default_puts_the_prompt_before_the_image_and_marks_the_last_token():
    segments = DEFAULT_TEMPLATE.segments("PROMPT")
    assert segments.index(UserText("PROMPT")) < segments.index(ImageSlot())
    assert segments[-1] == MarkSlot()
    around = segments.index(ImageSlot())
    assert segments[around - 1].text.endswith("<|vision_start|>")
    assert segments[around + 1].text.startswith("<|vision_end|>")


@given(st.text())
def test_a_prompt_never_changes_the_structure(prompt):
    plain, filled = DEFAULT_TEMPLATE.segments("x"), DEFAULT_TEMPLATE.segments(prompt)
    assert [UserText(prompt) if part == UserText("x") else part for part in plain] == filled


@pytest.mark.parametrize(
    ("text", "fields", "code", "found"),
    [
        ("{image}{prompt}{promt}", {}, "template_field_unknown", "did you mean 'prompt'"),
        ("{image}{prompt}{}", {}, "template_field_unknown", "''"),
        ("{image}{prompt}{a.b}", {"a": "x"}, "template_field_unused", "'a'"),
        ("{image}{prompt}{0}", {}, "template_field_unknown", "'0'"),
        ("{image}{prompt}", {"extra": "x"}, "template_field_unused", "'extra'"),
        ("{image}{prompt}", {"mark": "x"}, "template_field_name", "'mark'"),
        ("{image}{prompt}{a b}", {"a b": "x"}, "template_field_name", "'a b'"),
        ("{prompt}", {}, "template_field_missing", "{image}"),
        ("{image}", {}, "template_field_missing", "{prompt}"),
        ("{image}{prompt}{image}", {}, "template_field_repeated", "{image} 2 times"),
        ("{prompt}{image}{prompt}", {}, "template_field_repeated", "{prompt} 2 times"),
        ("{image}{prompt}{mark}{mark}", {}, "template_field_repeated", "{mark} 2 times"),
        ("{image}{mark}{prompt}", {}, "template_mark_position", "{mark}"),
        ("{prompt}{mark}{image}", {}, "template_mark_position", "{mark}"),
        ("{image}{prompt", {}, "template_syntax", "braces"),
        ("{image}{prompt}}", {}, "template_syntax", "braces"),
        ("{image}{prompt!r}", {}, "template_syntax", "{prompt}"),
        ("{image}{prompt:>9}", {}, "template_syntax", "{prompt}"),
        ("{image}{prompt}\ud800", {}, "template_type", "Unicode"),
        ("{image}{prompt}{a}", {"a": "\udfff"}, "template_type", "'a'"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused(text, fields, code, found):
    with pytest.raises(ConfigError) as caught:
        PromptTemplate(text, fields)
    assert caught.value.code == code
    assert found in str(caught.value)


def test_a_field_may_be_used_twice():
    template = PromptTemplate("{a}{image}{a}{prompt}", {"a": "x"})
    assert template.segments("p").count(UserText("x")) == 2


def test_a_template_survives_json_and_pickle():
    template = PromptTemplate("{a}{image}{prompt}{mark}", {"a": "{x} é"}, "<|im_end|>")
    for original in (template, DEFAULT_TEMPLATE):
        assert PromptTemplate.from_dict(json.loads(json.dumps(original.to_dict()))) == original
        assert pickle.loads(pickle.dumps(original)) == original
    assert PromptTemplate.from_dict({"text": "{image}{prompt}"}).mark_token == "<|endoftext|>"


def test_the_fields_are_a_copy():
    fields = {"a": "x"}
    template = PromptTemplate("{a}{image}{prompt}", fields)
    fields["a"] = "y"
    assert template.fields == {"a": "x"}


@pytest.mark.parametrize(
    ("mapping", "code", "found"),
    [
        ({"text": "{image}{prompt}", "field": {}}, "template_key", "did you mean 'fields'"),
        ({"fields": {}}, "template_key", "'text'"),
        ({"text": 3}, "template_type", "int"),
        ({"text": None}, "template_type", "NoneType"),
        ({"text": "{image}{prompt}", "fields": ["a"]}, "template_type", "list"),
        ({"text": "{image}{prompt}{a}", "fields": {"a": 1}}, "template_type", "int"),
        ({"text": "{image}{prompt}", "fields": {1: "a"}}, "template_type", "int"),
        ({"text": "{image}{prompt}", "mark_token": None}, "template_type", "NoneType"),
    ],
)
def test_a_config_that_is_no_template_is_refused(mapping, code, found):
    with pytest.raises(ConfigError) as caught:
        PromptTemplate.from_dict(mapping)
    assert caught.value.code == code
    assert found in str(caught.value)


@pytest.mark.parametrize(
    "prompt", ["a", " a ", "\0", "a\u202eb", "👩‍👩‍👧" * 100, "{image}", "<|im_end|>"]
)
def test_ordinary_and_odd_prompts_pass_unchanged(prompt):
    assert check_prompt(prompt) == prompt


@pytest.mark.parametrize(
    ("prompt", "code", "found"),
    [
        (None, "prompt_type", "NoneType"),
        (b"a fox", "prompt_type", "bytes"),
        (["a fox"], "prompt_type", "list"),
        (3.5, "prompt_type", "float"),
        ("", "prompt_empty", "empty"),
        (" \n\t\u3000", "prompt_empty", "empty"),
        ("fox \ud800", "prompt_encoding", "character 4"),
        ("x" * 100_000, "prompt_too_long", "100000 characters; at most 65536 bytes"),
        ("é" * 40_000, "prompt_too_long", "80000 bytes; at most 65536 bytes"),
        (" " * 100_000, "prompt_too_long", "at most 65536 bytes"),
        ("\ud800" * 100_000, "prompt_too_long", "at most 65536 bytes"),
    ],
)
def test_prompts_that_cannot_be_scored(prompt, code, found):
    with pytest.raises(InputError) as caught:
        check_prompt(prompt)
    assert caught.value.code == code
    assert found in str(caught.value)


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀"])
def test_the_byte_limit_is_exact(letter):
    size = len(letter.encode())
    longest = letter * (MAX_PROMPT_BYTES // size)
    longest += "x" * (MAX_PROMPT_BYTES - len(longest.encode()))
    assert check_prompt(longest) == longest
    with pytest.raises(InputError, match=f"{MAX_PROMPT_BYTES + 1} "):
        check_prompt(longest + "x")
    assert check_prompt("xyz", max_bytes=3) == "xyz"


def test_a_template_knows_whether_it_has_a_mark() -> None:
    assert DEFAULT_TEMPLATE.has_mark
    assert not PromptTemplate("{image}{prompt}{{mark}}").has_mark
