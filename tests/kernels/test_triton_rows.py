"""Tests of what the triton kernels over rows share."""

from __future__ import annotations

import pytest
import torch
import triton.language as tl

from librehps.kernels.rows import MAX_ROW
from librehps.kernels.triton_rows import (
    as_rows,
    elementwise_tile,
    partial_sums,
    reduction_tile,
    triton_dtype,
)


@pytest.mark.parametrize("width", [1, 2, 24, 128, 256, 2560, 5120, MAX_ROW])
def test_a_reduction_tile_holds_whole_rows_in_registers(width: int) -> None:
    tile = reduction_tile(width)
    assert width <= tile.columns < 2 * width
    # A thread holds at most 32 elements, and as many threads work as there are elements for.
    assert tile.rows * tile.columns <= 32 * 32 * tile.num_warps
    assert tile.num_warps in (4, 8, 16)
    assert (tile.rows - 1) * tile.columns < 2**10


@pytest.mark.parametrize("width", [1, 5, 128, 1024, 9216])
def test_an_elementwise_tile_has_the_same_size_for_every_width(width: int) -> None:
    tile = elementwise_tile(width)
    assert tile.rows * tile.columns == 2**11
    assert tile.columns <= 1024


def test_blocks_cover_the_rows_and_few_programs_share_them() -> None:
    tile = reduction_tile(128)
    assert [tile.blocks(n) for n in (0, 1, tile.rows, tile.rows + 1)] == [0, 1, 1, 2]
    assert [partial_sums(n) for n in (0, 3, 256, 10**6)] == [0, 3, 256, 256]


def test_rows_are_a_view_where_one_is_possible() -> None:
    x = torch.randn(5, 4, 16)
    half = x.chunk(2, dim=-1)[1]
    assert as_rows(half).data_ptr() == half.data_ptr()
    assert as_rows(half).stride() == (16, 1)
    across = x[0].T
    assert as_rows(across).stride() == (4, 1)
    assert torch.equal(as_rows(across), across)
    assert as_rows(torch.ones(()).expand(3, 2)).stride() == (2, 1)


def test_dtypes_have_the_name_that_triton_gives_them() -> None:
    names = {torch.float16: tl.float16, torch.bfloat16: tl.bfloat16, torch.float64: tl.float64}
    assert {dtype: triton_dtype(dtype) for dtype in names} == names
