from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from librehps.modeling import PRESETS
from librehps.modeling.vision.grid import PatchGrid, patch_grid
from librehps.modeling.vision.positions import PositionTable, vision_rotary

VISION = dataclasses.replace(PRESETS["nano"].vision, num_position_embeddings=81)


def grid(*sizes: tuple[int, int], merge_size: int = 1) -> PatchGrid:
    thw = torch.tensor([(1, *size) for size in sizes])
    total = int(thw.prod(-1).sum())
    return patch_grid(thw, num_patches=total, merge_size=merge_size, device=thw.device)


@pytest.mark.parametrize("size", [(9, 9), (4, 7), (20, 13), (2, 40)])
def test_the_table_is_stretched_corner_to_corner(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    table = PositionTable(VISION)
    found = table(grid((3, 3), size))[9:]
    square = table.weight.T.view(1, -1, 9, 9)
    expected = F.interpolate(square, size=size, mode="bilinear", align_corners=True)
    torch.testing.assert_close(found, expected[0].flatten(1).T, atol=1e-6, rtol=1e-4)


def test_a_single_line_reads_the_first_line_of_the_table() -> None:
    table = PositionTable(VISION)
    torch.testing.assert_close(table(grid((1, 9))), table.weight[:9])


def test_interpolation_is_float32_over_a_narrow_table() -> None:
    table = PositionTable(VISION)
    wide = table(grid((4, 7)))
    table.bfloat16()
    narrow = table(grid((4, 7)))
    assert narrow.dtype == torch.float32
    # Only the entries were rounded, not the sums.
    assert not torch.equal(narrow, narrow.bfloat16().float())
    torch.testing.assert_close(narrow, wide, atol=2e-3, rtol=1e-2)


def test_row_and_column_turn_halves_of_the_pairs() -> None:
    cos, sin = vision_rotary(grid((2, 3)), head_dim=8, theta=10_000.0)
    assert cos.shape == sin.shape == (6, 8)
    row, column = 1, 2
    slow = 10_000.0**-0.5
    angles = torch.tensor([row, row * slow, column, column * slow] * 2)
    torch.testing.assert_close(cos[-1], angles.cos())
    torch.testing.assert_close(sin[-1], angles.sin())
