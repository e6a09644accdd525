"""Tests of the blocks of rows: all rows, once each, in blocks that fit the cache."""

from __future__ import annotations

import pytest
import torch

from librehps.kernels import rows
from librehps.kernels.rows import MAX_ROW, row_blocks, rows_per_block, too_wide

CPU = torch.device("cpu")


def test_a_block_on_a_cpu_has_half_a_megabyte_and_at_least_a_row() -> None:
    assert rows_per_block(1, CPU) == 2**17
    assert rows_per_block(1000, CPU) == 131
    assert rows_per_block(2**17 + 1, CPU) == 1
    assert rows_per_block(2**40, CPU) == 1
    assert rows_per_block(0, CPU) >= 1


def test_elsewhere_a_block_has_all_rows() -> None:
    x = torch.empty(10**6, 10**5, device="meta")
    (block,) = row_blocks(x)
    assert block.indices(x.shape[0]) == (0, x.shape[0], 1)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("width", [1, 2, 3, 100])
def test_blocks_hold_every_row_once_in_order(
    count: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_ELEMENTS", 8)
    numbers = torch.arange(count)
    blocks = row_blocks(torch.zeros(count, width))
    assert [row for block in blocks for row in numbers[block].tolist()] == list(range(count))
    assert all(len(numbers[block]) <= max(1, 8 // width) for block in blocks)


def test_a_row_that_a_gpu_kernel_cannot_hold_is_told_why() -> None:
    assert too_wide(MAX_ROW) is None
    assert (
        too_wide(MAX_ROW + 1)
        == f"it takes rows of at most {MAX_ROW} elements, and these have {MAX_ROW + 1}"
    )
