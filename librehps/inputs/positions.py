"""Three-axis rotary positions of a sequence that mixes text and images.

Every token has a position on three axes: time, height and width. A text token counts one step on
all three. The tokens of an image share the time at which the image starts and spread over its
grid of merged patches; what follows the image starts where the longer side of that grid ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from librehps.errors import InputError
from librehps.typing import Int, Tensor


@dataclass(frozen=True)
class TextRun:
    """Consecutive text tokens.

    Args:
        num_tokens: How many; 0 is allowed.
    """

    num_tokens: int

    def __post_init__(self) -> None:
        if self.num_tokens < 0:
            raise InputError(
                f"a run of text has {self.num_tokens} tokens; it cannot be negative",
                code="positions_text",
            )


@dataclass(frozen=True)
class ImageRun:
    """The tokens of one image (or of one frame of a video).

    Args:
        height: Rows of patches, before merging.
        width: Columns of patches, before merging.
    """

    height: int
    width: int

    def num_tokens(self, *, merge_size: int) -> int:
        """Return how many merged tokens the image takes: ``height * width / merge_size**2``."""
        return (self.height // merge_size) * (self.width // merge_size)


def rope_positions(
    runs: Sequence[TextRun | ImageRun], *, merge_size: int = 2
) -> Int[Tensor, "3 T"]:
    """Number the tokens of one sequence on the axes time, height and width.

    With ``p`` counting from 0, a text run of ``n`` tokens takes ``p … p+n-1`` on every axis and
    moves ``p`` by ``n``; an image of ``h × w`` merged tokens takes ``(p, p + row, p + column)`` row
    by row and moves ``p`` by ``max(h, w)``.

    Args:
        runs: The sequence from left to right.
        merge_size: Patches per merged token along each side.

    Returns:
        int64 positions on the CPU.

    Raises:
        InputError: An image whose grid is empty or does not divide into merged tokens (code
            ``positions_grid``).

    References:
        Wang et al., "Qwen2-VL: Enhancing Vision-Language Model's Perception of the World at Any
        Resolution", section 2.1, multimodal rotary position embedding.
    """
    start = 0
    parts: list[Tensor] = []
    for run in runs:
        if isinstance(run, TextRun):
            parts.append(torch.arange(start, start + run.num_tokens).expand(3, -1))
            start += run.num_tokens
            continue
        sides = (run.height, run.width)
        if min(sides) < merge_size or any(side % merge_size for side in sides):
            raise InputError(
                f"an image grid of {run.height}x{run.width} patches does not divide into tokens of "
                f"{merge_size}x{merge_size} patches",
                code="positions_grid",
            )
        rows, columns = run.height // merge_size, run.width // merge_size
        grid = torch.full((3, rows, columns), start)
        grid[1] += torch.arange(rows)[:, None]
        grid[2] += torch.arange(columns)
        parts.append(grid.flatten(1))
        start += max(rows, columns)
    if not parts:
        return torch.zeros(3, 0, dtype=torch.int64)
    return torch.cat(parts, dim=1)
