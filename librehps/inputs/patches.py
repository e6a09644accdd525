"""A resized picture as the rows that the vision tower reads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from librehps.errors import InputError
from librehps.inputs.resize import check_rgb
from librehps.typing import Float, Int, Tensor

__all__ = ["patchify"]


def patchify(
    pixels: npt.NDArray[np.uint8],
    *,
    patch_size: int = 16,
    temporal_patch_size: int = 2,
    merge_size: int = 2,
) -> tuple[Float[Tensor, "P patch_dim"], Int[Tensor, "1 3"]]:
    """Cut a picture into patches, in the order in which the merger joins them.

    Patches run block by block (``merge_size`` x ``merge_size`` patches, which become one token),
    row-major between the blocks and inside each. A row holds ``(channel, frame, y, x)`` of its
    patch; a still picture fills all ``temporal_patch_size`` frames with the same values.

    Args:
        pixels: ``[H, W, 3]`` uint8, both sides multiples of ``patch_size * merge_size``.
        patch_size: Side of a patch, in pixels.
        temporal_patch_size: Frames in a patch.
        merge_size: Patches on the side of a merged block.

    Returns:
        The patches, ``[P, 3 * temporal_patch_size * patch_size**2]`` float32 in [-1, 1]
        (``2 * (value / 255 - 0.5)``: mean and standard deviation are 0.5 in every channel), and
        ``grid_thw``, ``[[1, H / patch_size, W / patch_size]]`` int64.

    Raises:
        InputError: ``pixels`` is not ``[H, W, 3]`` uint8, or a side is no multiple of
            ``patch_size * merge_size`` (code ``tensor_layout``).
    """
    check_rgb(pixels)
    height, width, channels = pixels.shape
    block = patch_size * merge_size
    if height % block or width % block:
        raise InputError(
            f"the sides of a {width}x{height} picture must be multiples of {block}: "
            "resize it to the pixel budget first",
            code="tensor_layout",
        )
    grid_h, grid_w = height // patch_size, width // patch_size
    blocks = pixels.reshape(
        grid_h // merge_size,
        merge_size,
        patch_size,
        grid_w // merge_size,
        merge_size,
        patch_size,
        channels,
    )
    # (block row, block column, row in block, column in block, channel, y, x): reordered while a
    # value is still one byte, then converted once, then repeated for every frame of the patch.
    ordered = np.ascontiguousarray(blocks.transpose(0, 3, 1, 4, 6, 2, 5))
    values = torch.from_numpy(ordered).to(torch.float32).div_(255).sub_(0.5).mul_(2)
    num_patches, area = grid_h * grid_w, patch_size * patch_size
    frames = values.view(num_patches, channels, 1, area).expand(-1, -1, temporal_patch_size, -1)
    patches = frames.reshape(num_patches, channels * temporal_patch_size * area)
    return patches, torch.tensor([[1, grid_h, grid_w]], dtype=torch.int64)
