from __future__ import annotations

import pytest
import torch

from librehps.errors import InputError
from librehps.modeling.vision.grid import PatchGrid, patch_grid


def grid(*sizes: tuple[int, int, int], merge_size: int = 2) -> PatchGrid:
    total = sum(frames * rows * columns for frames, rows, columns in sizes)
    thw = torch.tensor(sizes)
    return patch_grid(thw, num_patches=total, merge_size=merge_size, device=thw.device)


def test_blocks_come_one_after_the_other() -> None:
    one = grid((1, 2, 6))
    assert one.row.tolist() == [0, 0, 1, 1] * 3
    assert one.column.tolist() == [0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5]
    assert one.cu_seqlens.tolist() == [0, 12]


@pytest.mark.parametrize("merge_size", [1, 2, 3])
def test_many_pictures_are_counted_as_nested_loops_would(merge_size: int) -> None:
    sizes = [(1, 2, 4), (2, 1, 3), (1, 5, 1)]
    sizes = [(frames, rows * merge_size, columns * merge_size) for frames, rows, columns in sizes]
    expected = [
        (block_row * merge_size + row, block_column * merge_size + column, rows, columns)
        for frames, rows, columns in sizes
        for _ in range(frames)
        for block_row in range(rows // merge_size)
        for block_column in range(columns // merge_size)
        for row in range(merge_size)
        for column in range(merge_size)
    ]
    found = grid(*sizes, merge_size=merge_size)
    fields = (found.row, found.column, found.height, found.width)
    assert torch.stack(fields, dim=1).tolist() == [list(one) for one in expected]
    assert found.cu_seqlens.diff().tolist() == [
        rows * columns for frames, rows, columns in sizes for _ in range(frames)
    ]


@pytest.mark.parametrize("sizes", [(1, 3, 4), (1, 4, 3), (0, 2, 2), (1, 0, 2)])
def test_half_blocks_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match=r"^grid_thw\[1\]") as caught:
        grid((1, 2, 2), sizes)
    assert caught.value.code == "grid_mismatch"


def test_patches_must_be_as_many_as_described() -> None:
    with pytest.raises(InputError, match="4 patches, but there are 8"):
        patch_grid(
            torch.tensor([[1, 2, 2]]), num_patches=8, merge_size=2, device=torch.device("cpu")
        )
