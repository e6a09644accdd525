"""Where each packed patch lies in its picture.

Patches come in blocks of ``merge_size`` x ``merge_size``, because a block becomes one token. Their
order is (frame, block row, block column, row in the block, column in the block), picture after
picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from librehps.errors import InputError
from librehps.typing import Int, Tensor


@dataclass(frozen=True)
class PatchGrid:
    """Coordinates of all patches of a batch.

    Args:
        row: Row of the patch in its frame.
        column: Column of the patch in its frame.
        height: Patches in a column of its frame.
        width: Patches in a row of its frame.
        cu_seqlens: Where each frame starts, and the total. A still picture is one frame.
    """

    row: Int[Tensor, " P"]
    column: Int[Tensor, " P"]
    height: Int[Tensor, " P"]
    width: Int[Tensor, " P"]
    cu_seqlens: Int[Tensor, " frames_plus_1"]


def patch_grid(
    grid_thw: Int[Tensor, "I 3"], *, num_patches: int, merge_size: int, device: torch.device
) -> PatchGrid:
    """Compute the coordinates of every patch, without a loop over patches.

    Args:
        grid_thw: Frames, rows and columns of patches of each picture.
        num_patches: Rows of the patch matrix that the grid describes.
        merge_size: Side of a block.
        device: Where the coordinates are needed.

    Raises:
        InputError: The grids are not whole blocks, or do not add up to ``num_patches`` (code
            ``grid_mismatch``).
    """
    frame_sizes: list[int] = []
    for index, (frames, rows, columns) in enumerate(grid_thw.tolist()):
        if min(frames, rows, columns) < 1 or rows % merge_size or columns % merge_size:
            raise InputError(
                f"a grid of {frames} x {rows} x {columns} patches has no whole blocks of "
                f"{merge_size} x {merge_size}",
                code="grid_mismatch",
                item=f"grid_thw[{index}]",
            )
        frame_sizes += [rows * columns] * frames
    if sum(frame_sizes) != num_patches:
        raise InputError(
            f"the grids describe {sum(frame_sizes)} patches, but there are {num_patches}",
            code="grid_mismatch",
        )
    cu_seqlens = torch.tensor([0, *frame_sizes], dtype=torch.int64).cumsum(0)

    frame_height, frame_width = grid_thw.to(device)[:, 1:].unbind(-1)
    counts = grid_thw.to(device).prod(-1)
    picture = torch.repeat_interleave(counts, output_size=num_patches)
    height, width = frame_height[picture], frame_width[picture]
    first = (counts.cumsum(0) - counts)[picture]
    within_frame = (torch.arange(num_patches, device=device) - first) % (height * width)
    block, within_block = within_frame // merge_size**2, within_frame % merge_size**2
    blocks_per_row = width // merge_size
    return PatchGrid(
        row=block // blocks_per_row * merge_size + within_block // merge_size,
        column=block % blocks_per_row * merge_size + within_block % merge_size,
        height=height,
        width=width,
        cu_seqlens=cu_seqlens.to(device=device, dtype=torch.int32),
    )
