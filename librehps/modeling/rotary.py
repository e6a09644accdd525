"""Rotary positions with three axes: time, row and column.

A text token has the same position on all three, which makes this the ordinary rotation. A merged
token of a picture has its own row and column.
"""

from __future__ import annotations

import torch

from librehps.modeling.config import Qwen3_5TextConfig
from librehps.typing import Float, Int, Tensor

TIME, ROW, COLUMN = 0, 1, 2


def frequency_axes(
    mrope_section: tuple[int, int, int], *, device: torch.device
) -> Int[Tensor, " R_half"]:
    """Return the axis whose position turns each frequency.

    The axes take turns - time, row, column, time, ... - so that each gets high and low frequencies;
    row and column stop when they have theirs, and time takes what is left.

    Args:
        mrope_section: How many frequencies belong to time, row and column.
        device: Where the result is needed.
    """
    _, rows, columns = mrope_section
    index = torch.arange(sum(mrope_section), device=device)
    axes = torch.full_like(index, TIME)
    axes[(index % 3 == ROW) & (index < 3 * rows)] = ROW
    axes[(index % 3 == COLUMN) & (index < 3 * columns)] = COLUMN
    return axes


def multimodal_rotary(
    positions: Int[Tensor, "3 T"], config: Qwen3_5TextConfig, *, dtype: torch.dtype
) -> tuple[Float[Tensor, "T R"], Float[Tensor, "T R"]]:
    """Compute the cosines and sines by which queries and keys turn.

    With ``R`` rotated dimensions, frequency ``j < R / 2`` is ``theta^(-2j / R)`` and turns the pair
    ``(j, j + R / 2)`` by ``frequency_j · positions[axis_j]``.

    Args:
        positions: Time, row and column of each token.
        config: Shape of the text model.
        dtype: Dtype of the hidden states; the angles are computed in float32 and then cast.
    """
    width, device = config.rotary_dim, positions.device
    frequencies = 1.0 / config.rope_theta ** (
        torch.arange(0, width, 2, device=device).float() / width
    )
    axes = frequency_axes(config.mrope_section, device=device)
    angles = positions[axes].float().T * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)
