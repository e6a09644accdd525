"""Text of others for a page: what cannot be seen in it, or turns a line round, is named."""

from __future__ import annotations

import unicodedata

__all__ = ["shortened", "visible"]

# Marks, embeddings, overrides and isolates of the Unicode bidirectional algorithm: a prompt could
# show itself, and what stands after it, in another order than it has.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_KEPT = frozenset("\n\t")


def visible(text: str) -> str:
    r"""Return the text with every hidden character named, such as ``⟨U+202E⟩`` or ``⟨U+0000⟩``.

    Named are control characters but for the line feed and the tab, halves of surrogate pairs,
    places that Unicode has no character for, and what changes the direction of writing. Letters
    that are written from right to left are letters and stay.

    Args:
        text: Any text, also such as cannot be written in UTF-8.

    References:
        Unicode Standard Annex 9, "Unicode bidirectional algorithm", section 2.
    """
    return "".join(f"⟨U+{ord(letter):04X}⟩" if _hides(letter) else letter for letter in text)


def shortened(text: str, limit: int) -> str:
    """Return the text, or its beginning and a note of how long it is, where it is over a limit.

    Args:
        text: Any text.
        limit: Most characters of it.
    """
    if len(text) <= limit:
        return text
    return f"{text[:limit]} … [{limit} of {len(text)} characters are shown]"


def _hides(letter: str) -> bool:
    if letter in _KEPT:
        return False
    return letter in _TURNING or unicodedata.category(letter) in ("Cc", "Cs", "Cn")
