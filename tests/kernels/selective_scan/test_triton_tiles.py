"""Tests of how much a program takes at a time."""

from __future__ import annotations

import pytest
import torch

from librehps.kernels.selective_scan.triton_tiles import tiles_for


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("width", [1, 17, 128])
def test_products_have_sixteen_of_everything_and_walks_all_rows(
    width: int, dtype: torch.dtype
) -> None:
    tiles = tiles_for(dtype)
    for tile in (tiles.states, tiles.chunks, tiles.heads):
        told = tile.options(width, width, chunk_size=64, precision=tiles.precision)
        assert {"BK", "BV", "BT"} <= set(told)
        assert min(told["BK"], told["BV"]) >= 16
    assert tiles.states.options(width, 1, chunk_size=64, precision="tf32")["BK"] >= width
    assert tiles.chunks.options(1, width, chunk_size=64, precision="tf32")["BV"] >= width


def test_float32_is_multiplied_as_float32() -> None:
    assert tiles_for(torch.float32).precision == "tf32x3"
    assert tiles_for(torch.bfloat16).precision == "tf32"
