"""Text to token ids, with a wall between the template and what a user wrote.

A tokenizer file lists added tokens (``<|im_end|>``, ``<|image_pad|>``, ``<think>``) that are cut
out of any text before the rest is tokenised. In the template that is meant. In a prompt it would
let whoever wrote the prompt end the turn, or take the place of the image. So there are two
tokenizers: the file's own for the template, and one without any added token for everything else.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Set
from os import PathLike
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from librehps.errors import CheckpointError, ConfigError, InputError

# Qwen3.5's file has about 20 MB.
MAX_FILE_BYTES = 128 * 2**20


class PromptTokenizer:
    """The token ids of template text and of user text.

    Nothing is ever cut off or padded, whatever the file says, and no token is put before or after.

    Args:
        text: The text of a ``tokenizer.json`` that holds a byte-level BPE tokenizer.

    Raises:
        CheckpointError: The text is no tokenizer (code ``tokenizer_damaged``), or one that cannot
            spell every text without its added tokens (code ``tokenizer_unsupported``).
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._template = _read(text)
        self._added = frozenset(self._template.get_added_tokens_decoder())
        self._user = _without_added_tokens(self._template, added=self._added, text=text)
        self._vocab_size = 1 + max(self._template.get_vocab(with_added_tokens=True).values())

    @classmethod
    def from_json(cls, text: str) -> PromptTokenizer:
        """Read the text of a ``tokenizer.json``; raises as the class does."""
        return cls(text)

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> PromptTokenizer:
        """Read a ``tokenizer.json``.

        Raises:
            CheckpointError: There is no such file (code ``tokenizer_missing``), it is no regular
                file, too large or no text (code ``tokenizer_damaged``), or as the class does.
        """
        path = Path(path)
        item = str(path)
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise CheckpointError(
                    "this is not a regular file; a tokenizer.json is needed",
                    code="tokenizer_damaged",
                    item=item,
                )
            if status.st_size > MAX_FILE_BYTES:
                raise CheckpointError(
                    f"the tokenizer has {status.st_size} bytes; at most {MAX_FILE_BYTES} are read",
                    code="tokenizer_damaged",
                    item=item,
                )
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise CheckpointError(
                "there is no tokenizer here; copy tokenizer.json from the checkpoint's source",
                code="tokenizer_missing",
                item=item,
            ) from error
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"the tokenizer cannot be read: {error}", code="tokenizer_damaged", item=item
            ) from error
        try:
            return cls(text)
        except CheckpointError as error:
            raise error.at(item) from None

    @property
    def vocab_size(self) -> int:
        """The highest token id plus one: as many rows as an embedding needs at least."""
        return self._vocab_size

    def token_id(self, token: str) -> int:
        """Return the id of a token of the vocabulary, added or not.

        Raises:
            ConfigError: There is no such token (code ``token_unknown``).
        """
        token_id = self._template.token_to_id(token)
        if token_id is None:
            raise ConfigError(f"the tokenizer has no token {token!r}", code="token_unknown")
        return token_id

    def special_id(self, token: str) -> int:
        """Return the id of an added token, one that no user text can give.

        Raises:
            ConfigError: There is no such token, or it is an ordinary one (code ``token_unknown``).
        """
        token_id = self.token_id(token)
        if token_id not in self._added:
            raise ConfigError(
                f"{token!r} is an ordinary token, which any text can contain; a special one is "
                "needed here",
                code="token_unknown",
            )
        return token_id

    def is_special(self, token_id: int) -> bool:
        """Return whether a token is an added one, which no user text can give."""
        return token_id in self._added

    def encode_user(self, text: str) -> list[int]:
        """Tokenise text that nobody vouches for; the result holds no added token.

        Args:
            text: Any text without lone surrogates.

        Returns:
            Token ids. ``"<|im_end|>"`` comes out as its letters.

        Raises:
            InputError: The vocabulary spells an added token after all (code
                ``special_token_forged``). No tokenizer file is known to get here.
        """
        ids = self._user.encode(text, add_special_tokens=False).ids
        forged = self._added.intersection(ids)
        if forged:
            raise InputError(
                f"the text would turn into the special tokens {sorted(forged)}; remove them from "
                "the text",
                code="special_token_forged",
            )
        return ids

    def encode_literal(self, text: str) -> list[int]:
        """Tokenise trusted text, in which ``"<|im_end|>"`` is the token of that name."""
        return self._template.encode(text, add_special_tokens=False).ids

    def cut_literal(self, text: str) -> list[int | str]:
        """Cut trusted text at its added tokens.

        Returns:
            Ids of added tokens and the text between them, in order. Text that stays text can be
            joined with its neighbours and tokenised as a whole, as it is when a template is filled
            in first and tokenised afterwards.
        """
        encoding = self._template.encode(text, add_special_tokens=False)
        pieces: list[int | str] = []
        done = 0
        for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if token_id in self._added:
                if start > done:
                    pieces.append(text[done:start])
                pieces.append(token_id)
                done = end
        if done < len(text):
            pieces.append(text[done:])
        return pieces

    def to_json(self) -> str:
        """Return the text of the ``tokenizer.json``, as it was read."""
        return self._text


def _read(text: str) -> Tokenizer:
    """Read a tokenizer file, without what would make the ids depend on more than the text.

    Truncation would cut a prompt without a word, padding would lengthen it, a post-processor may
    add tokens, and dropout makes ids a matter of chance.
    """
    try:
        tokenizer = Tokenizer.from_str(text)
    # The Rust side raises plain Exception for whatever it does not like about a file, and for what
    # it did not expect a panic, whose class derives from BaseException and cannot be imported.
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise CheckpointError(
            f"this is not a tokenizer.json that can be used ({error})", code="tokenizer_damaged"
        ) from error
    if not isinstance(tokenizer.model, BPE):
        raise CheckpointError(
            f"a byte-level BPE tokenizer is needed; this is {type(tokenizer.model).__name__}",
            code="tokenizer_unsupported",
        )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.post_processor = None
    tokenizer.model.dropout = None
    return tokenizer


def _without_added_tokens(tokenizer: Tokenizer, *, added: Set[int], text: str) -> Tokenizer:
    """Make a tokenizer that is the same but has no added tokens.

    Raises:
        CheckpointError: What is left cannot spell every text (code ``tokenizer_unsupported``).
    """
    if any(tokenizer.model.id_to_token(token_id) is not None for token_id in added):
        document = json.loads(text)
        model = document["model"]
        model["vocab"], model["merges"] = _without_ids(model["vocab"], model["merges"], added)
        rest = _read(json.dumps(document | {"added_tokens": []}))
    else:
        # The usual case. The model is shared: Qwen's vocabulary takes 100 MB and half a second.
        rest = Tokenizer(tokenizer.model)
        rest.normalizer = tokenizer.normalizer
        rest.pre_tokenizer = tokenizer.pre_tokenizer
    missing = sum(rest.token_to_id(symbol) is None for symbol in ByteLevel.alphabet())
    cutter = rest.pre_tokenizer
    by_bytes = cutter is not None and "".join(
        piece for piece, _ in cutter.pre_tokenize_str("é")
    ).endswith("Ã©")
    if missing or not by_bytes:
        raise CheckpointError(
            "a byte-level BPE tokenizer with every byte among its ordinary tokens is needed; "
            + (f"{missing} bytes are missing" if missing else "this one does not cut by bytes"),
            code="tokenizer_unsupported",
        )
    return rest


def _without_ids(
    vocab: dict[str, int], merges: list[str | list[str]], ids: Set[int]
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Take ids out of a BPE vocabulary, with every merge that needs or makes one of them."""
    removed = {token for token, token_id in vocab.items() if token_id in ids}
    pairs = (merge.split(" ", 1) if isinstance(merge, str) else merge for merge in merges)
    return (
        {token: token_id for token, token_id in vocab.items() if token not in removed},
        [(left, right) for left, right in pairs if removed.isdisjoint((left, right, left + right))],
    )
