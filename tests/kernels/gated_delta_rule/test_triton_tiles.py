"""Tests of the tiles of the gated delta rule."""

from __future__ import annotations

import pytest
import torch

from librehps.kernels.gated_delta_rule.triton_gated_delta_rule import SPAN
from librehps.kernels.gated_delta_rule.triton_tiles import Tile, tiles_for


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_the_kernels_of_a_gradient_agree_on_what_a_chunk_is(dtype: torch.dtype) -> None:
    tiles = tiles_for(torch.empty(1, 1, 1, dtype=dtype))
    assert tiles.replay.tokens == tiles.backward.tokens == tiles.tokens.tokens
    for tile in (tiles.forward, tiles.replay):
        assert SPAN % tile.tokens == 0


def test_tiles_do_not_depend_on_how_much_there_is() -> None:
    few, many = torch.empty(1, 1, 1), torch.empty(9999, 32, 1, device="meta")
    assert tiles_for(few) == tiles_for(many)


def test_a_launch_is_told_all_of_a_tile() -> None:
    own = {"BT": 16, "BV": 64, "num_warps": 4, "num_stages": 1}
    assert Tile(16, 64, 4).options == {**own, "maxnreg": 255}
    assert Tile(16, 64, 4, registers=None).options == {**own, "maxnreg": None}
