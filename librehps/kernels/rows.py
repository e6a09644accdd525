"""How many rows an elementwise op takes at a time, and which rows a GPU kernel can take."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["MAX_ROW", "row_blocks", "rows_per_block", "too_wide"]

# Elements of a block on a CPU: half a MB in float32, so that a chain of operators finds what the
# one before it wrote in the cache.
_ELEMENTS = 2**17

# A GPU kernel that reduces over a row holds it in registers: 32 elements a thread at 16 warps.
MAX_ROW = 2**14


def rows_per_block(width: int, device: torch.device) -> int:
    """Return how many rows of ``width`` elements to take at a time: all of them off the CPU."""
    return max(1, _ELEMENTS // max(1, width)) if device.type == "cpu" else 2**62


def row_blocks(x: Tensor) -> list[slice]:
    """Cut the rows of ``x`` [rows, width] into blocks."""
    size = min(rows_per_block(x.shape[1], x.device), max(1, x.shape[0]))
    return [slice(first, first + size) for first in range(0, x.shape[0], size)]


def too_wide(width: int) -> str | None:
    """Say why a GPU kernel cannot hold a row of this width, or return ``None``."""
    if width <= MAX_ROW:
        return None
    return f"it takes rows of at most {MAX_ROW} elements, and these have {width}"
