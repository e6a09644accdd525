"""Where the tokens of packed sequences lie in chunks of one size."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch

from librehps.typing import Bool, Int, Tensor

__all__ = ["ChunkTable", "chunk_table"]


@dataclass(frozen=True)
class ChunkTable:
    """Chunks of ``c`` tokens, none of which holds tokens of two sequences.

    First come the first chunks of all sequences, then the second chunks of those that have one,
    and so on; within such a step, the sequences with the most chunks come first. So the chunks of a
    step lie side by side, and the sequences that go on are the first ones.

    Args:
        rows: Token of each place; places after the end of a sequence repeat its last token.
        real: Which places hold a token.
        home: Place of each token, in the flattened chunks.
        counts: Chunks of each step.
        order: The sequences in that order.
    """

    rows: Int[Tensor, "M c"]
    real: Bool[Tensor, "M c"]
    home: Int[Tensor, " T"]
    counts: tuple[int, ...]
    order: Int[Tensor, " N"]

    def gather(self, x: Tensor) -> Tensor:
        """Take packed tokens [T, ...] to their chunks [M, c, ...]."""
        return x.index_select(0, self.rows.flatten()).unflatten(0, self.rows.shape)

    def gather_masked(self, x: Tensor) -> Tensor:
        """Like `gather`, with zeros in the places that hold no token."""
        return self.gather(x).where(self.real.view(*self.real.shape, *[1] * (x.dim() - 1)), 0)

    def scatter(self, chunks: Tensor) -> Tensor:
        """Take chunks [M, c, ...] back to packed tokens [T, ...]."""
        return chunks.flatten(0, 1).index_select(0, self.home)


def chunk_table(bounds: list[int], chunk_size: int, device: torch.device) -> ChunkTable:
    """Lay sequences out in chunks.

    Args:
        bounds: Where each sequence starts, and the total.
        chunk_size: Most tokens of a chunk; fewer if no sequence is as long.
        device: Of the table.
    """
    spans = list(pairwise(bounds))
    size = min(chunk_size, max(end - start for start, end in spans))
    lengths = [-(-(end - start) // size) for start, end in spans]
    order = sorted(range(len(spans)), key=lambda index: -lengths[index])
    starts: list[int] = []
    ends: list[int] = []
    counts: list[int] = []
    for step in range(max(lengths)):
        going = [index for index in order if lengths[index] > step]
        counts.append(len(going))
        starts += [spans[index][0] + step * size for index in going]
        ends += [spans[index][1] for index in going]
    end = torch.tensor(ends, device=device)[:, None]
    rows = torch.tensor(starts, device=device)[:, None] + torch.arange(size, device=device)
    real = rows < end
    home = torch.empty(bounds[-1], dtype=torch.int64, device=device)
    home[rows[real]] = real.flatten().nonzero()[:, 0]
    return ChunkTable(
        rows=torch.minimum(rows, end - 1),
        real=real,
        home=home,
        counts=tuple(counts),
        order=torch.tensor(order, device=device),
    )
