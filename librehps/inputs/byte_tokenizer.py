"""A byte-level tokenizer with Qwen's control tokens at whatever ids a config asks for.

Qwen's own tokenizer comes with Qwen's checkpoints. A checkpoint made from a preset has none, and
its config already says which ids stand for images and turns; the tokenizer made here fits it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from librehps.errors import ConfigError

QWEN3_5_TOKEN_IDS: Mapping[str, int] = {
    "<|endoftext|>": 248044,
    "<|im_start|>": 248045,
    "<|im_end|>": 248046,
    "<|vision_start|>": 248053,
    "<|vision_end|>": 248054,
    "<|vision_pad|>": 248055,
    "<|image_pad|>": 248056,
    "<|video_pad|>": 248057,
    "<think>": 248068,
    "</think>": 248069,
}
"""The ids that the published Qwen3.5 checkpoints give to the tokens a scorer can meet."""

NUM_BYTES = 256

# Where Qwen3.5 cuts text before merging: contractions, words with their accents, single digits,
# punctuation, line ends, blanks. Stock transformers applies this very pattern to a Qwen3.5 folder
# whatever its tokenizer.json says, so the file has to say the same for the ids to agree.
QWEN3_5_SPLIT = "|".join(
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+",
        r"\p{N}",
        r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


def byte_symbols() -> tuple[str, ...]:
    """Return the printable character that stands for each byte in a byte-level vocabulary.

    Bytes that print in Latin-1 stand for themselves; the others take the characters from U+0100 on,
    in order.

    References:
        Radford et al., "Language Models are Unsupervised Multitask Learners", section 2.2.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (chr(code) for code in range(0x100, 0x200))
    return tuple(chr(byte) if byte in printable else next(others) for byte in range(NUM_BYTES))


def learn_merges(texts: Iterable[str], *, count: int) -> list[tuple[str, str]]:
    """Return the pairs of symbols whose joining makes texts shortest, most frequent first.

    Args:
        texts: What the tokenizer is to be good at, such as the prompts of a data set.
        count: How many pairs at most; there are fewer where the texts hold no more.

    References:
        Sennrich et al., "Neural machine translation of rare words with subword units", 2016.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    # Cut as the finished tokenizer will cut.
    whole = Tokenizer.from_str(byte_level_tokenizer_json({}))
    learner = Tokenizer(BPE())
    learner.normalizer, learner.pre_tokenizer = whole.normalizer, whole.pre_tokenizer
    trainer = BpeTrainer(
        vocab_size=NUM_BYTES + count, initial_alphabet=list(byte_symbols()), show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    merges: list[list[str]] = json.loads(learner.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]


def byte_level_tokenizer_json(
    special_ids: Mapping[str, int], *, merges: Sequence[tuple[str, str]] = ()
) -> str:
    """Write the ``tokenizer.json`` of a byte-level tokenizer: byte ``b`` has id ``b``.

    Text is normalised to NFC first. Stock transformers reads the file and gives the same ids.

    Args:
        special_ids: Id of each added token, 256 or above. Those of the form ``<|name|>`` are
            control tokens, which a decoder may hide; the others are plain added tokens.
        merges: Pairs of symbols that byte-pair encoding joins, first come first; what they make
            takes the lowest free ids from 256 on.

    Returns:
        The text of the file.

    Raises:
        ConfigError: An id is taken twice or belongs to a byte (code ``token_id_taken``).
    """
    taken = set(special_ids.values())
    if len(taken) != len(special_ids) or min(taken, default=NUM_BYTES) < NUM_BYTES:
        raise ConfigError(
            f"special tokens need different ids from {NUM_BYTES} on, found {dict(special_ids)}",
            code="token_id_taken",
        )
    free_ids = (i for i in range(NUM_BYTES, NUM_BYTES + len(merges) + len(taken)) if i not in taken)
    vocab = {symbol: byte for byte, symbol in enumerate(byte_symbols())}
    vocab |= {left + right: next(free_ids) for left, right in merges}
    # The special tokens stand in the vocabulary too: that is what keeps their ids where they are
    # when a reader builds the tokenizer anew and appends the added tokens that it does not find.
    vocab |= special_ids
    byte_level: dict[str, str | bool] = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": False,
        "use_regex": False,
    }
    split: dict[str, object] = {
        "type": "Split",
        "pattern": {"Regex": QWEN3_5_SPLIT},
        "behavior": "Isolated",
        "invert": False,
    }
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": token_id,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": token.startswith("<|"),
            }
            for token, token_id in sorted(special_ids.items(), key=lambda item: item[1])
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": [list(pair) for pair in merges],
        },
    }
    return json.dumps(document, ensure_ascii=False, indent=1)
