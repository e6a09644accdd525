"""Pooling: from packed hidden states to one vector per sequence."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch

from librehps.registry import Registry
from librehps.typing import Float, Int, Tensor

__all__ = ["POOLINGS", "Pooling", "last", "marked", "mean", "pool"]


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


#: Poolings by the name that a checkpoint's config gives.
POOLINGS: Registry[Pooling] = Registry("pooling")


@POOLINGS.register("last")
def last(
    hidden: Float[Tensor, "T D"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    pooled_index: Int[Tensor, " N"],
) -> Float[Tensor, "N D"]:
    """Take the last token of each sequence: the one that has seen all others."""
    return hidden.index_select(0, cu_seqlens[1:].to(torch.int64) - 1)


@POOLINGS.register("marked")
def marked(
    hidden: Float[Tensor, "T D"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    pooled_index: Int[Tensor, " N"],
) -> Float[Tensor, "N D"]:
    """Take the token that the prompt template marks in each sequence."""
    return hidden.index_select(0, pooled_index.to(torch.int64))


@POOLINGS.register("mean")
def mean(
    hidden: Float[Tensor, "T D"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    pooled_index: Int[Tensor, " N"],
) -> Float[Tensor, "N D"]:
    """Average all tokens of each sequence, in float32 or wider; the result stays in that dtype."""
    wide = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    # Reduces each segment by itself: a neighbour's values never enter, not even as rounding.
    return torch.segment_reduce(wide, "mean", lengths=cu_seqlens.to(torch.int64).diff(), axis=0)


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
