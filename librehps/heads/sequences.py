"""Heads that read more than one vector per sequence: what they are given, and their protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from librehps.errors import InputError
from librehps.heads.protocol import Head, HeadOutput
from librehps.typing import Float, Int, Tensor

__all__ = ["SequenceHead", "Sequences", "last_tokens"]


@dataclass(frozen=True, eq=False)
class Sequences:
    """Hidden states of several tokens of each sequence, end to end and in order.

    Args:
        hidden: Hidden states after the final norm.
        cu_seqlens: Sequence ``n`` is the rows from ``cu_seqlens[n]`` up to ``cu_seqlens[n + 1]``.
        width: How many rows every sequence has, where all have the same number and the host knows
            it; else None.
    """

    hidden: Float[Tensor, "T D"]
    cu_seqlens: Int[Tensor, " N_plus_1"]
    width: int | None = None

    @classmethod
    def of_windows(cls, windows: Float[Tensor, "N width D"]) -> Sequences:
        """Return sequences that all have the same length."""
        count, width = windows.shape[:2]
        ends = torch.arange(count + 1, device=windows.device, dtype=torch.int32)
        return cls(hidden=windows.flatten(0, 1), cu_seqlens=width * ends, width=width)

    def last(self, count: int) -> Float[Tensor, "N count D"]:
        """Return the last ``count`` tokens of each sequence, in order.

        Raises:
            InputError: A sequence has fewer (code ``sequence_too_short``).
        """
        num_sequences = self.cu_seqlens.shape[0] - 1
        if self.width is None:
            rows = self.hidden.index_select(0, last_tokens(self.cu_seqlens, count=count))
            return rows.view(num_sequences, count, self.hidden.shape[-1])
        if self.width < count:
            raise _too_short(0, self.width, count)
        whole = self.hidden.view(num_sequences, self.width, self.hidden.shape[-1])
        return whole[:, self.width - count :]


@runtime_checkable
class SequenceHead(Head, Protocol):
    """A `Head` that is fed `Sequences`: several tokens of each, or all of them."""

    #: How many tokens at the end of each sequence it reads, from 1; None for all of them. It is
    #: given at least these, and no score may depend on any other.
    last_tokens: int | None

    def __call__(self, hidden: Sequences, /) -> HeadOutput:
        """Score a batch of sequences."""
        ...


def last_tokens(cu_seqlens: Int[Tensor, " N_plus_1"], *, count: int) -> Int[Tensor, " M"]:
    """Return where the last ``count`` tokens of each sequence are in the pack, in order.

    The lengths are looked at on the host, once, unless a single token is asked for.

    Raises:
        InputError: A sequence has fewer tokens (code ``sequence_too_short``).
    """
    ends = cu_seqlens.to(torch.int64)
    if count > 1:
        short = (ends.diff() < count).nonzero().flatten().tolist()
        if short:
            raise _too_short(short[0], int(ends.diff()[short[0]]), count)
    return (ends[1:, None] + torch.arange(-count, 0, device=ends.device)).flatten()


def _too_short(sequence: int, length: int, count: int) -> InputError:
    return InputError(
        f"has {length} tokens, but a head reads the last {count}: end the prompt template with at "
        f"least {count} tokens of its own, or choose a head that reads fewer",
        code="sequence_too_short",
        item=f"sequence {sequence}",
    )
