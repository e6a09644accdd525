"""How much the triton kernels of the selective scan take at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton

from librehps.kernels.selective_scan.limits import MAX_WIDTH

__all__ = ["Tile", "Tiles", "tiles_for"]


@dataclass(frozen=True)
class Tile:
    """How much one program takes at a time; all tokens of a chunk.

    Args:
        addresses: Rows of the state.
        values: Columns of the state.
        num_warps: Groups of 32 threads.
    """

    addresses: int
    values: int
    num_warps: int

    def options(
        self, width: int, depth: int, *, chunk_size: int, precision: str
    ) -> dict[str, object]:
        """What a launch is told.

        Args:
            width: Rows that there are.
            depth: Columns that there are.
            chunk_size: Most tokens of a chunk.
            precision: Of products of float32.
        """
        return {
            "WIDTH": width,
            "DEPTH": depth,
            "PRECISION": precision,
            "BT": chunk_size,
            # A product has 16 of everything at the least.
            "BK": min(self.addresses, max(16, triton.next_power_of_2(width))),
            "BV": min(self.values, max(16, triton.next_power_of_2(depth))),
            "num_warps": self.num_warps,
            "num_stages": 1,
        }


@dataclass(frozen=True)
class Tiles:
    """The tiles of all kernels.

    Args:
        states: Of the walks over the chunks of a sequence; all rows of the state.
        chunks: Of what is done for a head of a chunk; all columns of the state.
        heads: Of the sums over heads.
        precision: Of products in which an operand is float32.
    """

    states: Tile
    chunks: Tile
    heads: Tile
    precision: str


# Of what does not spill at 64 tokens, 128 rows and 64 columns, on sm_90 and sm_100 alike, the
# largest. TF32 is as good as float16, and better than bfloat16; three of it make a float32.
_HALF = Tiles(
    states=Tile(MAX_WIDTH, 32, num_warps=8),
    chunks=Tile(32, MAX_WIDTH, num_warps=8),
    heads=Tile(32, 32, num_warps=8),
    precision="tf32",
)
_SINGLE = Tiles(
    states=Tile(MAX_WIDTH, 32, num_warps=8),
    chunks=Tile(16, MAX_WIDTH, num_warps=8),
    heads=Tile(32, 16, num_warps=8),
    precision="tf32x3",
)


def tiles_for(dtype: torch.dtype) -> Tiles:
    """Return the tiles for values of this dtype."""
    return _SINGLE if dtype == torch.float32 else _HALF
