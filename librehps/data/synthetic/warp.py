"""What breaks the form of one object: edges that melt, halves that slid, parts that are shuffled.

Each is a map of the object's plane: a pixel shows what the whole object has somewhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_REACH", "WARPS", "Warp", "apply_warp"]

WarpKind = Literal["melted", "broken", "shuffled"]
WARPS: tuple[WarpKind, ...] = ("melted", "broken", "shuffled")

#: Radius of the circle that a warped object stays in, in radii of the whole one.
MAX_REACH = 1.6
# About the largest change of an outline's radius when an edge melts, and by how many waves: the
# three together seldom reach more than 5/8 of their sum.
_MELT = 0.34
_WAVES = (3, 5, 7)
# How far each of two halves slides along the cut at most, in radii.
_SLIDE = 0.55
# Tiles along each side of the square that is shuffled, and how many pairs of them change places.
_TILES = 3
_EXCHANGES = 4

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Warp:
    """A broken form.

    Args:
        kind: One of `WARPS`.
        strength: In (0, 1]: 1 is beyond doubt.
        seed: Of where it is broken, and how.
    """

    kind: WarpKind
    strength: float
    seed: int


def apply_warp(u: Array, v: Array, warp: Warp, *, radius: float) -> tuple[Array, Array]:
    """Return where in the whole object each pixel of a warped one is taken from.

    Args:
        u: Columns from the object's centre, in pixels, ``[H, W]``.
        v: Rows upwards from it, in pixels.
        warp: What is wrong.
        radius: Of the object, in pixels.
    """
    rng = np.random.default_rng(warp.seed)
    if warp.kind == "melted":
        return _melted(u, v, warp.strength, rng)
    if warp.kind == "broken":
        return _broken(u, v, warp.strength * radius, rng)
    return _shuffled(u, v, warp.strength, radius, rng)


def _melted(u: Array, v: Array, strength: float, rng: np.random.Generator) -> tuple[Array, Array]:
    direction = np.arctan2(v, u)
    phases = rng.uniform(0, 2 * math.pi, len(_WAVES))
    waves = sum(np.sin(n * direction + phase) for n, phase in zip(_WAVES, phases, strict=True))
    scale = 1 + np.float32(1.6 * _MELT * strength / len(_WAVES)) * waves
    scale = scale.astype(np.float32)
    return u / scale, v / scale


def _broken(u: Array, v: Array, distance: float, rng: np.random.Generator) -> tuple[Array, Array]:
    angle = rng.uniform(0, 2 * math.pi)
    along = np.array([math.cos(angle), math.sin(angle)], dtype=np.float32)
    side = np.where(along[0] * v - along[1] * u > 0, np.float32(1), np.float32(-1))
    slide = side * np.float32(_SLIDE * distance)
    return (u - along[0] * slide).astype(np.float32), (v - along[1] * slide).astype(np.float32)


def _shuffled(
    u: Array, v: Array, strength: float, radius: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    tile = np.float32(2 * radius / _TILES)
    column = np.floor((u + np.float32(radius)) / tile).astype(np.int32)
    row = np.floor((v + np.float32(radius)) / tile).astype(np.int32)
    inside = (column >= 0) & (column < _TILES) & (row >= 0) & (row < _TILES)
    source = np.arange(_TILES**2)
    chosen = rng.permutation(_TILES**2)
    for pair in range(math.ceil(_EXCHANGES * strength)):
        one, two = chosen[2 * pair], chosen[2 * pair + 1]
        source[[one, two]] = source[[two, one]]
    here = np.where(inside, row * _TILES + column, 0)
    there = source[here]
    right = np.where(inside, there % _TILES - here % _TILES, 0).astype(np.float32)
    up = np.where(inside, there // _TILES - here // _TILES, 0).astype(np.float32)
    return (u + tile * right).astype(np.float32), (v + tile * up).astype(np.float32)
