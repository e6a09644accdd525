"""What spoils the look of a whole picture: noise, blur, blocks, a palette that clashes."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["FINISHES", "Finish", "apply_finish"]

FinishKind = Literal["noise", "blur", "blocks", "palette"]
FINISHES: tuple[FinishKind, ...] = ("noise", "blur", "blocks", "palette")

# At strength 1: standard deviation of the noise; standard deviation of the blur (from the faintest
# that can be seen) and side of a block, as shares of the picture's side; share of the other colour.
_NOISE = 0.2
_BLUR = (0.004, 0.025)
_BLOCK = 1 / 18
_TINT = 0.5

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Finish:
    """A spoiled look.

    Args:
        kind: One of `FINISHES`.
        strength: In (0, 1]: 1 is beyond doubt.
        seed: Of what is random in it.
    """

    kind: FinishKind
    strength: float
    seed: int


def apply_finish(canvas: Array, finish: Finish) -> Array:
    """Return a spoiled picture; ``canvas`` is ``[side, side, 3]`` with values about [0, 1]."""
    rng = np.random.default_rng(finish.seed)
    side, strength = canvas.shape[0], finish.strength
    if finish.kind == "noise":
        grain = rng.standard_normal(canvas.shape, dtype=np.float32)
        return (canvas + np.float32(_NOISE * strength) * grain).astype(np.float32)
    if finish.kind == "blur":
        low, high = _BLUR
        return _blurred(canvas, (low + (high - low) * strength) * side)
    if finish.kind == "blocks":
        block = max(2, round(_BLOCK * side))
        # The blocks stay and their contrast to the picture grows.
        return (canvas + np.float32(strength) * (_blocks(canvas, block) - canvas)).astype(
            np.float32
        )
    tint = colorsys.hsv_to_rgb(rng.uniform(), 0.9, 0.75)
    colour = np.asarray(tint, dtype=np.float32)
    return (canvas + np.float32(_TINT * strength) * (colour - canvas)).astype(np.float32)


def _blurred(canvas: Array, sigma: float) -> Array:
    """Convolve with a normal density along rows and columns; the border is repeated."""
    reach = max(1, int(3 * sigma + 0.5))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        padding = [(reach, reach) if place == axis else (0, 0) for place in range(3)]
        padded = np.pad(canvas, padding, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=axis)
        canvas = (windows @ weights).astype(np.float32)
    return canvas


def _blocks(canvas: Array, block: int) -> Array:
    """Return the picture with one mean colour in each square; the last ones may be cut off."""
    side = canvas.shape[0]
    starts = np.arange(0, side, block)
    sums = np.add.reduceat(np.add.reduceat(canvas, starts, axis=0), starts, axis=1)
    sizes = np.diff(np.append(starts, side)).astype(np.float32)
    means = sums / (sizes[:, None] * sizes[None, :])[..., None]
    place = np.arange(side) // block
    return means[place][:, place].astype(np.float32)
