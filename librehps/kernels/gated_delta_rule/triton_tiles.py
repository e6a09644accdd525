"""How much the triton kernels of the gated delta rule take at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from librehps.typing import Float, Tensor

__all__ = ["Tile", "Tiles", "tiles_for"]


@dataclass(frozen=True)
class Tile:
    """How much one program takes at a time.

    Args:
        tokens: Of a chunk.
        values: Columns of the memory of a head.
        num_warps: Groups of 32 threads.
        num_stages: Chunks that are under way from memory at a time.
        registers: Most that a thread may have; ``None`` leaves it to the assembler, which then
            spills a few bytes in some kernels that have registers to spare (README.md).
    """

    tokens: int
    values: int
    num_warps: int
    num_stages: int = 1
    registers: int | None = 255

    @property
    def options(self) -> dict[str, int | None]:
        """What a launch is told of it."""
        return {
            "BT": self.tokens,
            "BV": self.values,
            "num_warps": self.num_warps,
            "num_stages": self.num_stages,
            "maxnreg": self.registers,
        }


@dataclass(frozen=True)
class Tiles:
    """The tiles of all kernels.

    Args:
        forward: Of the walk that gives the outputs.
        replay: Of the walk that gives the states between two that were kept.
        backward: Of the walk back; chunks as in ``replay``.
        tokens: Of the gradients of the tokens; chunks as in ``replay``.
    """

    forward: Tile
    replay: Tile
    backward: Tile
    tokens: Tile


# Chunks of 16 tokens: with 32, what a chunk is worked out in takes registers that the memory of
# the head needs, and some are spilled. On sm_90 and sm_100 nothing is with these, and a wider or
# narrower block, or other warps, would; README.md has the numbers.
_HALF = Tiles(
    forward=Tile(16, 64, 4),
    replay=Tile(16, 64, 4),
    backward=Tile(16, 64, 4),
    tokens=Tile(16, 32, 8),
)
# Exact products have no tensor cores, and read more of their factors into registers; the walk back
# takes 110 when nobody tells how many there are, and spills out of 255.
_SINGLE = Tiles(
    forward=Tile(16, 16, 8),
    replay=Tile(16, 16, 8),
    backward=Tile(16, 32, 8, registers=None),
    tokens=Tile(16, 16, 8),
)


def tiles_for(v: Float[Tensor, "T HV V"]) -> Tiles:
    """Return the tiles for values of a dtype; the device and the number of tokens change nothing.

    So every sum has the same order wherever and beside whatever a sequence is computed.
    """
    return _SINGLE if v.dtype == torch.float32 else _HALF
