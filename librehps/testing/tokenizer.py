"""A byte-level BPE tokenizer of 512 tokens with Qwen's special tokens, the same everywhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import pairwise

from librehps.inputs.byte_tokenizer import (
    NUM_BYTES,
    QWEN3_5_TOKEN_IDS,
    byte_level_tokenizer_json,
    byte_symbols,
)

TINY_TOKEN_IDS: Mapping[str, int] = {
    token: NUM_BYTES + i for i, token in enumerate(QWEN3_5_TOKEN_IDS)
}
"""Ids of the special tokens: 256 to 265, in Qwen's order."""

TINY_VOCAB_SIZE = 512

# What the merges are learnt from: words that prompts and the default template are made of.
_TEXT = """
A photograph of a red fox running through fresh snow at sunrise with mountains behind it. A bowl of
ripe oranges on a wooden table by the window, soft morning light, shallow depth of field. Two small
children building a sand castle on the beach while their dog watches the waves. An oil painting of
a ship in a storm, dramatic clouds, thick brush strokes, in the style of the romantic period. Three
blue circles above a green square on a white background, flat colours, sharp edges. The portrait of
an old woman with silver hair smiling at the camera, studio lighting, highly detailed skin. A neon
sign that reads open all night above the door of a diner in the rain, reflections on the street. The
following picture was generated from the text. Rate how well the image matches the prompt, whether
things hold together, and how good it looks to people. Consider the style, the colours, the shapes,
the number of things and where they are. A close view of a glass of water with ice and lemon, drops
on the outside. A wide view of the city from the roof of a tall building, cars and people far below.
"""


@cache
def tiny_tokenizer_json() -> str:
    """Write the ``tokenizer.json``: 256 bytes, ten special tokens, 246 learnt merges."""
    return byte_level_tokenizer_json(
        TINY_TOKEN_IDS, merges=_learn_merges(TINY_VOCAB_SIZE - NUM_BYTES - len(TINY_TOKEN_IDS))
    )


def _learn_merges(count: int) -> list[tuple[str, str]]:
    """Join the most frequent pair of neighbours, ``count`` times; ties go to the alphabet."""
    space = byte_symbols()[ord(" ")]
    occurrences = Counter(re.findall(r"[ \n]?[A-Za-z]+", _TEXT))
    words = [
        (list(word.replace("\n", " ").replace(" ", space)), times)
        for word, times in occurrences.items()
    ]
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for symbols, times in words:
            for pair in pairwise(symbols):
                pairs[pair] += times
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for symbols, _ in words:
            for i in range(len(symbols) - 2, -1, -1):
                if tuple(symbols[i : i + 2]) == best:
                    symbols[i : i + 2] = ["".join(best)]
    return merges
