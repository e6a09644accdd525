"""What tells a patch where it is: a learned table, added once, and a rotation in every block."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from librehps.modeling.vision.config import Qwen3_5VisionConfig
from librehps.modeling.vision.grid import PatchGrid
from librehps.typing import Float, Int, Tensor


class PositionTable(nn.Module):
    """A square table of learned positions, stretched over each picture.

    The table's corners lie on the picture's corners: row ``i`` of ``h`` reads the table at
    ``i (side - 1) / (h - 1)``, bilinearly between the four entries around it.
    """

    def __init__(self, config: Qwen3_5VisionConfig) -> None:
        super().__init__()
        self.side = config.position_grid_side
        self.weight = nn.Parameter(torch.empty(config.num_position_embeddings, config.hidden_size))
        nn.init.normal_(self.weight, std=config.initializer_range)

    def forward(self, grid: PatchGrid) -> Float[Tensor, "P D"]:
        """Look up every patch; interpolates in float32 and returns float32."""
        rows = _neighbours(grid.row, grid.height, side=self.side)
        columns = _neighbours(grid.column, grid.width, side=self.side)
        total = grid.row.new_zeros((), dtype=torch.float32)
        for row, row_share in rows:
            for column, column_share in columns:
                corner = F.embedding(row * self.side + column, self.weight)
                total = total + (row_share * column_share)[:, None] * corner
        return total


def _neighbours(
    index: Int[Tensor, " P"], size: Int[Tensor, " P"], *, side: int
) -> list[tuple[Int[Tensor, " P"], Float[Tensor, " P"]]]:
    """Return the two table lines around each patch on one axis, each with its share."""
    # A single line has no distance to share: it reads the table's first line.
    source = index.float() * (side - 1) / (size - 1).clamp(min=1)
    low = source.floor()
    share = source - low
    below = low.long()
    return [(below, 1 - share), ((below + 1).clamp(max=side - 1), share)]


def vision_rotary(
    grid: PatchGrid, *, head_dim: int, theta: float
) -> tuple[Float[Tensor, "P K"], Float[Tensor, "P K"]]:
    """Compute cosines and sines of the angles by which a patch's queries and keys turn.

    With ``K = head_dim``, ``K / 4`` frequencies ``f_j = theta^(-4j / K)`` serve the row and again
    the column: the angles ``[row f, column f]`` turn the pairs ``(i, i + K / 2)``.

    Args:
        grid: Coordinates of the patches.
        head_dim: Width of an attention head, a multiple of 4.
        theta: Base of the frequencies.

    Returns:
        Cosines and sines in float32.
    """
    exponents = torch.arange(0, head_dim // 2, 2, device=grid.row.device).float() / (head_dim // 2)
    frequencies = 1.0 / theta**exponents
    row = grid.row[:, None].float() * frequencies
    column = grid.column[:, None].float() * frequencies
    angles = torch.cat((row, column, row, column), dim=-1)
    return angles.cos(), angles.sin()
