"""Pooling: from packed hidden states to one vector per sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch

from librehps.registry import Registry
from librehps.typing import Float, Int, Tensor

__all__ = [
    "POOLINGS",
    "OneToken",
    "Pooling",
    "last",
    "marked",
    "mean",
    "pool",
    "pooled_tokens",
    "reduce_segments",
]


@runtime_checkable
class Pooling(Protocol):
    """A function from packed hidden states to one vector per sequence."""

    def __call__(
        self,
        hidden: Float[Tensor, "T D"],
        *,
        cu_seqlens: Int[Tensor, " N_plus_1"],
        pooled_index: Int[Tensor, " N"],
    ) -> Float[Tensor, "N D"]:
        """Pool ``hidden``; arguments as in `pool`."""
        ...


class OneToken:
    """A pooling that takes one token of each sequence, so that no other one need be finished.

    Args:
        tokens: From ``cu_seqlens`` and ``pooled_index`` to the position in the pack of each
            sequence's token.
    """

    def __init__(self, tokens: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.tokens = tokens

    def __call__(
        self,
        hidden: Float[Tensor, "T D"],
        *,
        cu_seqlens: Int[Tensor, " N_plus_1"],
        pooled_index: Int[Tensor, " N"],
    ) -> Float[Tensor, "N D"]:
        """Take the tokens; arguments as in `pool`."""
        return hidden.index_select(0, self.tokens(cu_seqlens, pooled_index))


#: Poolings by the name that a checkpoint's config gives.
POOLINGS: Registry[Pooling] = Registry("pooling")


def _last_tokens(cu_seqlens: Tensor, pooled_index: Tensor) -> Tensor:
    return cu_seqlens[1:].to(torch.int64) - 1


def _marked_tokens(cu_seqlens: Tensor, pooled_index: Tensor) -> Tensor:
    return pooled_index.to(torch.int64)


last = POOLINGS.register("last")(OneToken(_last_tokens))
"""Takes the last token of each sequence: the one that has seen all others."""

marked = POOLINGS.register("marked")(OneToken(_marked_tokens))
"""Takes the token that the prompt template marks in each sequence."""


@POOLINGS.register("mean")
def mean(
    hidden: Float[Tensor, "T D"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    pooled_index: Int[Tensor, " N"],
) -> Float[Tensor, "N D"]:
    """Average all tokens of each sequence, in float32 or wider; the result stays in that dtype."""
    wide = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    return reduce_segments(wide, "mean", lengths=cu_seqlens.to(torch.int64).diff())


def reduce_segments(data: Tensor, how: str, *, lengths: Int[Tensor, " N"]) -> Tensor:
    """Reduce each sequence of packed rows by itself.

    A neighbour's values never enter, not even as rounding. Where there are no sequences, there are
    no rows in the result.

    Args:
        data: Rows of all sequences, end to end.
        how: ``"mean"``, ``"sum"``, ``"max"`` or ``"min"``.
        lengths: How many rows each sequence has; they add up to those of ``data``.
    """
    # The check that the lengths add up makes the host wait for a device, and fails on no lengths.
    unsafe = data.is_cuda or len(lengths) == 0
    return torch.segment_reduce(data, how, lengths=lengths, axis=0, unsafe=unsafe)


def pool(
    hidden: Float[Tensor, "T D"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    pooled_index: Int[Tensor, " N"],
    pooling: str = "last",
) -> Float[Tensor, "N D"]:
    """Return one vector per sequence of packed hidden states.

    Args:
        hidden: Hidden states of all sequences, end to end.
        cu_seqlens: Sequence ``n`` is the tokens from ``cu_seqlens[n]`` up to ``cu_seqlens[n + 1]``.
        pooled_index: Position in the pack of each sequence's marked token.
        pooling: A name in `POOLINGS`.

    Returns:
        In the dtype of ``hidden`` for ``last`` and ``marked``, float32 or wider for ``mean``.

    Raises:
        ConfigError: No such pooling (code ``name_unknown``).
    """
    return POOLINGS[pooling](hidden, cu_seqlens=cu_seqlens, pooled_index=pooled_index)


def pooled_tokens(
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    pooled_index: Int[Tensor, " N"],
    pooling: str,
) -> Int[Tensor, " N"] | None:
    """Return which token of each sequence a pooling takes, or ``None`` if it reads all of them.

    Args:
        cu_seqlens: See `pool`.
        pooled_index: See `pool`.
        pooling: A name in `POOLINGS`.

    Raises:
        ConfigError: No such pooling (code ``name_unknown``).
    """
    chosen = POOLINGS[pooling]
    return chosen.tokens(cu_seqlens, pooled_index) if isinstance(chosen, OneToken) else None
