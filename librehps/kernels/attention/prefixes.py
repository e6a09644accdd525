"""How many keys a sequence must have under a causal mask."""

from __future__ import annotations

from collections.abc import Sequence

from librehps.errors import InputError

__all__ = ["check_prefixes"]


def check_prefixes(q_lengths: Sequence[int], k_lengths: Sequence[int]) -> None:
    """Raise unless every sequence has a key for each of its queries.

    Args:
        q_lengths: Queries of each sequence.
        k_lengths: Its keys.

    Raises:
        InputError: One has fewer (code ``boundaries``).
    """
    for index, (tokens, seen) in enumerate(zip(q_lengths, k_lengths, strict=True)):
        if seen < tokens:
            raise InputError(
                f"sequence {index} has fewer keys than queries: under a causal mask its first "
                "queries would see nothing",
                code="boundaries",
                item="cu_seqlens_k",
            )
