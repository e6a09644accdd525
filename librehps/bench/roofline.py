"""What this machine can do at best, measured in the run that it judges: one copy, one product."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from librehps.bench.counts import Count
from librehps.bench.timing import time_calls

__all__ = ["Roof", "measure_roof"]

# Larger than any cache; on a CPU larger than most.
_COPY_BYTES = {"cuda": 2**30, "cpu": 2**27}
_SIDE = {"cuda": 8192, "cpu": 1024}


@dataclass(frozen=True)
class Roof:
    """The two rates that bound every op.

    Args:
        dtype: Of the matrix product.
        bytes_per_second: Read and written by a copy between two places in memory.
        operations_per_second: Of a product of two square matrices.
    """

    dtype: str
    bytes_per_second: float
    operations_per_second: float

    def least_ms(self, count: Count) -> float:
        """Return the milliseconds that the slower of the two needs for this work."""
        return 1e3 * max(
            count.bytes / self.bytes_per_second, count.operations / self.operations_per_second
        )


def measure_roof(dtype: torch.dtype, device: torch.device, *, seconds: float) -> Roof:
    """Measure both rates; the best round counts, as it is what the machine can do.

    Args:
        dtype: Of the matrix product.
        device: What is measured.
        seconds: For each of the two.
    """
    size, side = (table.get(device.type, table["cpu"]) for table in (_COPY_BYTES, _SIDE))
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    copy = time_calls(lambda: target.copy_(source), device, seconds=seconds)
    del source, target
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    product = time_calls(lambda: a @ b, device, seconds=seconds)
    return Roof(
        dtype=str(dtype).removeprefix("torch."),
        bytes_per_second=2e3 * size / copy.best_ms,
        operations_per_second=2e3 * side**3 / product.best_ms,
    )
