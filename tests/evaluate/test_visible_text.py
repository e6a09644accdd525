"""Hidden characters get names, letters stay, and long text says how long it is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from librehps.evaluate.visible_text import shortened, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b", "a⟨U+0000⟩b"),
        ("a\r\n\tb\x1b[31m", "a⟨U+000D⟩\n\tb⟨U+001B⟩[31m"),
        ("\x85\x7f", "⟨U+0085⟩⟨U+007F⟩"),
        ("safe\u202egnp.exe\u202c", "safe⟨U+202E⟩gnp.exe⟨U+202C⟩"),
        ("\u2066x\u2069\u200f", "⟨U+2066⟩x⟨U+2069⟩⟨U+200F⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("\uffff\U0010ffff", "⟨U+FFFF⟩⟨U+10FFFF⟩"),
        ("שלום, 猫 and 👩\u200d🔬", "שלום, 猫 and 👩\u200d🔬"),
    ],
)
def test_what_hides_is_named(text: str, shown: str) -> None:
    assert visible(text) == shown


@settings(max_examples=60)
@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_whatever_comes_can_be_written_and_hides_nothing(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    hidden = {letter for letter in shown if unicodedata.category(letter) in ("Cc", "Cs", "Cn")}
    assert hidden <= {"\n", "\t"}
    assert visible(shown) == shown


def test_a_long_text_says_what_is_left_out() -> None:
    assert shortened("abcd", 4) == "abcd"
    assert shortened("abcde", 4) == "abcd … [4 of 5 characters are shown]"
