"""How a pack is cut into spans of a fixed length, without asking the device for a number."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from librehps.typing import Int, Tensor

__all__ = ["Spans", "cut", "slots", "whole_sequences"]


@dataclass(frozen=True)
class Spans:
    """Parts of sequences, each in a slot of its own; a slot without tokens ends where it starts.

    Args:
        starts: First token of each slot.
        ends: Token after the last of each slot.
    """

    starts: Int[Tensor, " S"]
    ends: Int[Tensor, " S"]

    def __len__(self) -> int:
        return self.starts.numel()


def whole_sequences(cu_seqlens: Int[Tensor, " N_plus_1"]) -> Spans:
    """Return a span for each sequence."""
    return Spans(cu_seqlens[:-1], cu_seqlens[1:])


def slots(
    tokens: Int[Tensor, " S"], cu_seqlens: Int[Tensor, " N_plus_1"], size: int
) -> Int[Tensor, " S"]:
    """Return the slots of the spans of ``size`` tokens that begin at ``tokens``.

    Sequence ``n`` has its spans from slot ``cu_seqlens[n] // size + n`` on. It has at most one more
    than fit into it, so that no two sequences share a slot, and there are ``T // size + N`` slots
    whatever the lengths are: nothing has to wait for the device to count.

    Args:
        tokens: Where spans begin, each a multiple of ``size`` after the begin of a sequence.
        cu_seqlens: Where sequences begin and end.
        size: Tokens of a span.
    """
    sequence = torch.searchsorted(cu_seqlens, tokens, right=True) - 1
    sequence = sequence.clamp(max=cu_seqlens.numel() - 2)
    begin = cu_seqlens[sequence]
    return begin // size + sequence + (tokens - begin) // size


def cut(cu_seqlens: Int[Tensor, " N_plus_1"], size: int, *, tokens: int) -> Spans:
    """Cut every sequence into spans of ``size`` tokens; the last one of it may be shorter.

    Args:
        cu_seqlens: Where sequences begin and end.
        size: Tokens of a span.
        tokens: ``cu_seqlens[-1]``, as a number.

    Returns:
        ``tokens // size + N`` slots, numbered as by `slots`.
    """
    sequences = cu_seqlens.numel() - 1
    own = torch.arange(tokens // size + sequences, device=cu_seqlens.device)
    number = torch.arange(sequences, device=cu_seqlens.device)
    first = cu_seqlens[:-1] // size + number
    sequence = torch.searchsorted(first, own, right=True) - 1
    ends = cu_seqlens[1:][sequence]
    starts = torch.minimum(cu_seqlens[:-1][sequence] + (own - first[sequence]) * size, ends)
    return Spans(starts, torch.minimum(starts + size, ends))
