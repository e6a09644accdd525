"""Which tokens of a batch the heads read between them, and what each head is given of those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch

from librehps.heads.pooling import pool, pooled_tokens
from librehps.heads.protocol import Head, HeadOutput
from librehps.heads.sequences import SequenceHead, Sequences, last_tokens
from librehps.typing import Float, Int, Tensor

__all__ = ["Reading", "scores_of_nothing"]


class Reading:
    """What some heads want of one batch of packed sequences.

    A head gets one pooled vector per sequence, and a `SequenceHead` the last tokens of each that it
    reads, or all. The backbone need only finish ``tokens``.

    Args:
        heads: Heads by name, of both kinds.
        pooling: A name in ``POOLINGS``, for those that read a pooled vector.
        cu_seqlens: Sequence ``n`` is the tokens from ``cu_seqlens[n]`` up to ``cu_seqlens[n + 1]``.
        pooled_index: Position in the pack of each sequence's marked token.

    Attributes:
        tokens: Positions in the pack of the tokens that are read; None for all of them. First the
            pooled token of each sequence, then the last ones of each: a token may be named twice.

    Raises:
        ConfigError: No such pooling (code ``name_unknown``).
        InputError: A sequence is shorter than what a head reads of it (``sequence_too_short``).
    """

    tokens: Int[Tensor, " M"] | None

    def __init__(
        self,
        heads: Mapping[str, Head],
        *,
        pooling: str,
        cu_seqlens: Int[Tensor, " N_plus_1"],
        pooled_index: Int[Tensor, " N"],
    ) -> None:
        self._heads = heads
        self._pooling = pooling
        self._cu_seqlens = cu_seqlens
        self._pooled_index = pooled_index
        reads = [head.last_tokens for head in heads.values() if isinstance(head, SequenceHead)]
        # One window for all heads: the lengths are looked at once, and no token is finished twice.
        self._width = max((count for count in reads if count is not None), default=0)
        self._windows = last_tokens(cu_seqlens, count=self._width) if self._width else None
        self._pools = len(reads) < len(heads)
        pooled = None
        if self._pools:
            pooled = pooled_tokens(
                cu_seqlens=cu_seqlens, pooled_index=pooled_index, pooling=pooling
            )
        if None in reads or (self._pools and pooled is None):
            self.tokens = None
        else:
            self.tokens = torch.cat([part for part in (pooled, self._windows) if part is not None])

    def score(self, hidden: Float[Tensor, "M D"]) -> dict[str, HeadOutput]:
        """Return the output of each head by its name.

        Args:
            hidden: Hidden states of ``tokens``, or of all tokens where that is None.
        """
        pooled, windows = self._parts(hidden)
        outputs: dict[str, HeadOutput] = {}
        for name, head in self._heads.items():
            if not isinstance(head, SequenceHead):
                outputs[name] = head(cast("Tensor", pooled))
                continue
            if head.last_tokens is None:
                given = Sequences(hidden, self._cu_seqlens)
            else:
                given = Sequences.of_windows(
                    cast("Tensor", windows)[:, self._width - head.last_tokens :]
                )
            outputs[name] = head(given)
        return outputs

    def _parts(self, hidden: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the pooled vectors ``[N, D]`` and the windows ``[N, width, D]``, where wanted."""
        count = self._pooled_index.shape[0]
        pooled = rows = None
        if self.tokens is not None:
            first = count if self._pools else 0
            pooled, rows = hidden[:first], hidden[first:]
        else:
            if self._pools:
                pooled = pool(
                    hidden,
                    cu_seqlens=self._cu_seqlens,
                    pooled_index=self._pooled_index,
                    pooling=self._pooling,
                )
            if self._windows is not None:
                rows = hidden.index_select(0, self._windows)
        windows = None
        if rows is not None and self._width:
            windows = rows.view(count, self._width, hidden.shape[-1])
        return pooled, windows


def scores_of_nothing(
    heads: Mapping[str, Head], *, hidden_size: int, device: torch.device | str = "cpu"
) -> dict[str, HeadOutput]:
    """Return what heads of both kinds say of one sequence of zeros, without gradients.

    It tells what a head scores and whether it has a sigma, before there is any data.

    Args:
        heads: Heads by name.
        hidden_size: Width of the backbone's hidden states.
        device: Where the heads are.
    """
    reads = [head.last_tokens for head in heads.values() if isinstance(head, SequenceHead)]
    length = max((count for count in reads if count is not None), default=1)
    reading = Reading(
        heads,
        pooling="last",
        cu_seqlens=torch.tensor([0, length], device=device),
        pooled_index=torch.tensor([length - 1], device=device),
    )
    read = length if reading.tokens is None else reading.tokens.shape[0]
    with torch.no_grad():
        return reading.score(torch.zeros(read, hidden_size, device=device))
