"""Tests of lines, and of how much of them a program takes."""

from __future__ import annotations

from itertools import accumulate

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from librehps.kernels.causal_conv1d.triton_lines import conv_tile, line_of_row


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 8))
def test_every_row_has_its_line(lengths: list[int], lead: int) -> None:
    bounds = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)
    wanted = [line for line, length in enumerate(lengths) for _ in range(lead + length)]
    assert line_of_row(bounds, sum(lengths), lead).tolist() == wanted


def test_rows_are_found_without_a_look_at_the_boundaries() -> None:
    bounds = torch.empty(5, dtype=torch.int32, device="meta")
    lines = line_of_row(bounds, 100, 3)
    assert (lines.shape, lines.dtype) == ((112,), torch.int32)


@pytest.mark.parametrize("reach", [1, 2, 4, 8, 4096])
@pytest.mark.parametrize("width", [1, 5, 128, 8192])
def test_a_tile_fits_in_registers(width: int, reach: int) -> None:
    tile = conv_tile(width, reach)
    # Eight elements a thread, of the 255 registers that one has.
    assert tile.rows * tile.columns * reach <= max(8 * 32 * tile.num_warps, reach)
    assert tile.columns <= 128
    assert min(tile.rows, tile.columns) >= 1
