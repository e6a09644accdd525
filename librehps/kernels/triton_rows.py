"""What the triton kernels over rows share: tiles of rows, how they are read, and activations.

Kernels are marked ``no_type_check`` below ``triton.jit``: the checker that the tests switch on
would wrap them, and triton reads the module that a function was written in to find its names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = [
    "Tile",
    "as_rows",
    "elementwise_tile",
    "launch",
    "load_tile",
    "partial_sums",
    "reduction_tile",
    "sigmoid_and_slope",
    "silu_and_slope",
    "softplus_and_slope",
    "store_tile",
    "triton_dtype",
]

# Programs of a kernel that sums over all rows, each with a partial sum of its own. About two for
# each multiprocessor of an H200 or B200; a constant, so that the sums do not depend on the device.
_PARTIALS = 256
# Elements that a program of 4 warps takes at a time, at the least. Where it reduces, 8 a thread:
# one load of 16 bytes from each bfloat16 array, and registers to spare for the sums of a gradient.
_REDUCED = 2**10
_ELEMENTWISE = 2**11


@dataclass(frozen=True)
class Tile:
    """How much one program takes at a time; depends on the width alone.

    A row is summed in the same order however many rows there are: that is what keeps a sequence
    alone and the same sequence in a batch equal.

    Args:
        rows: Rows, a power of two.
        columns: Columns, a power of two.
        num_warps: Groups of 32 threads.
    """

    rows: int
    columns: int
    num_warps: int

    def blocks(self, rows: int) -> int:
        """Return how many tiles ``rows`` rows are."""
        return triton.cdiv(rows, self.rows)

    @property
    def options(self) -> dict[str, int]:
        """What a launch is told of it."""
        return {"ROWS": self.rows, "COLUMNS": self.columns, "num_warps": self.num_warps}


def reduction_tile(width: int) -> Tile:
    """Return the tile of a kernel that reduces over whole rows of ``width`` elements."""
    columns = triton.next_power_of_2(width)
    rows = max(1, _REDUCED // columns)
    # Wide rows get 16 elements a thread until there are 16 warps.
    num_warps = min(16, max(4, columns // 512))
    return Tile(rows=rows, columns=columns, num_warps=num_warps)


def elementwise_tile(width: int) -> Tile:
    """Return the tile of a kernel in which no element depends on another."""
    columns = min(_ELEMENTWISE // 2, triton.next_power_of_2(width))
    return Tile(rows=_ELEMENTWISE // columns, columns=columns, num_warps=4)


def partial_sums(blocks: int) -> int:
    """Return how many programs share ``blocks`` tiles in a kernel with partial sums."""
    return min(_PARTIALS, blocks)


def as_rows(x: Tensor) -> Tensor:
    """View ``x`` [..., D] as [rows, D] with contiguous rows; copies only where no view is."""
    rows = x.reshape(-1, x.shape[-1])
    return rows if rows.stride(1) == 1 or rows.shape[1] == 1 else rows.contiguous()


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Run a kernel on the device of its first argument; a grid without programs runs nothing."""
    if all(grid):
        with torch.cuda.device_of(arguments[0]):
            kernel[grid](*arguments, **options)


def triton_dtype(dtype: torch.dtype) -> tl.dtype:
    """Return triton's name of a floating point dtype."""
    return getattr(tl, str(dtype).removeprefix("torch."))


@triton.jit
@no_type_check
def load_tile(p, i_row, i_column, stride, mask, WIDE: tl.constexpr):
    """Load rows [ROWS, 1] and columns [1, COLUMNS] in the dtype ``WIDE``; 0 outside the mask."""
    return tl.load(p + i_row * stride + i_column, mask=mask, other=0.0).to(WIDE)


@triton.jit
@no_type_check
def store_tile(p, i_row, i_column, stride, values, mask):
    """Store rows [ROWS, 1] and columns [1, COLUMNS], cast to the dtype of the memory."""
    tl.store(p + i_row * stride + i_column, values.to(p.dtype.element_ty), mask=mask)


@triton.jit
@no_type_check
def sigmoid_and_slope(x):
    """Return ``1 / (1 + exp(-x))`` and its derivative; no overflow, and small ones keep digits."""
    small = tl.exp(-tl.abs(x))
    near = 1.0 + small
    return tl.exp(tl.minimum(x, 0.0)) / near, small / (near * near)


@triton.jit
@no_type_check
def silu_and_slope(x):
    """Return ``silu(x) = x / (1 + exp(-x))`` and its derivative, without an overflow on the way."""
    sigmoid, _ = sigmoid_and_slope(x)
    silu = x * sigmoid
    return silu, sigmoid + silu * (1.0 - sigmoid)


@triton.jit
@no_type_check
def softplus_and_slope(x):
    """Return ``log(1 + exp(x))`` and its derivative; small ones keep their digits."""
    small = tl.exp(-tl.abs(x))
    near = 1.0 + small
    # 1 + small rounds; the quotient of what was meant and what is left mends its logarithm.
    left = tl.where(near == 1.0, 1.0, near - 1.0)
    logarithm = tl.where(near == 1.0, small, tl.log(near) * (small / left))
    return tl.maximum(x, 0.0) + logarithm, tl.exp(tl.minimum(x, 0.0)) / near
