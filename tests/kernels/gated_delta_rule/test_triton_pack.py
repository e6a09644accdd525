"""Tests of what the kernels of the gated delta rule are told."""

from __future__ import annotations

import pytest
import torch

from librehps.kernels.gated_delta_rule.spans import Spans
from librehps.kernels.gated_delta_rule.triton_pack import Pack, Walk
from librehps.kernels.gated_delta_rule.triton_tiles import Tile


def pack(*, width: int = 24, depth: int = 70, dtype: torch.dtype = torch.float32) -> Pack:
    mixed = torch.zeros(5, 4 * width + 6 * depth, dtype=dtype)
    q, k, v = mixed.split((2 * width, 2 * width, 6 * depth), dim=1)
    return Pack(
        q.unflatten(1, (2, width)),
        k.unflatten(1, (2, width)),
        v.unflatten(1, (6, depth)),
        torch.zeros(5, 6),
        torch.zeros(5, 6),
        normalize=True,
    )


def test_heads_and_strides_are_those_of_the_inputs() -> None:
    own = pack()
    assert own.heads == (6, 3)
    assert own.strides == (516, 24, 516, 24, 516, 70)
    assert own.new_states(3, torch.float16).shape == (3, 6, 24, 70)


@pytest.mark.parametrize(("width", "columns"), [(1, 16), (16, 16), (24, 32), (100, 128)])
def test_the_memory_has_a_power_of_two_of_rows(width: int, columns: int) -> None:
    constants = pack(width=width).constants
    assert (constants["WIDTH"], constants["BK"]) == (width, columns)
    assert constants["SCALE"] == width**-0.5


def test_only_products_of_float32_are_exact() -> None:
    assert pack().constants["PRECISION"] == "ieee"
    assert pack(dtype=torch.bfloat16).constants["PRECISION"] == "tf32"


def test_a_walk_has_a_program_for_a_span_a_head_and_a_block_of_columns() -> None:
    spans = Spans(torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64))
    assert Walk(spans, None, Tile(16, 64, 4)).grid(pack()) == (4 * 6 * 2,)
