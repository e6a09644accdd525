"""From a layout to pixels: every shape is a radius for each direction, drawn with soft edges."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from librehps.data.synthetic.finish import apply_finish
from librehps.data.synthetic.layout import MIN_SIDE, Layout, Placed
from librehps.data.synthetic.scene import Look
from librehps.data.synthetic.warp import MAX_REACH, apply_warp
from librehps.errors import ConfigError

__all__ = ["DIRECTIONS", "outline", "render"]

#: Directions in which an outline's radius is tabulated.
DIRECTIONS = 720

_RGB = {
    "red": (0.86, 0.12, 0.12),
    "orange": (0.97, 0.55, 0.08),
    "yellow": (0.95, 0.84, 0.10),
    "green": (0.13, 0.62, 0.22),
    "blue": (0.12, 0.33, 0.85),
    "purple": (0.50, 0.16, 0.70),
    "pink": (0.98, 0.52, 0.74),
    "brown": (0.48, 0.28, 0.13),
    "black": (0.08, 0.08, 0.09),
}
# Corners of the polygons that are regular or made from one, and the first one's direction, degrees.
_REGULAR = {
    "square": (4, 45),
    "triangle": (3, 90),
    "hexagon": (6, 0),
    "diamond": (4, 0),
    "star": (10, 90),
}
# Inner radius of a ring.
_HOLE = 0.55
# Width of the plain rim around a texture, in radii.
_RIM = 0.09
# How far the second colour of a texture goes towards white.
_LIGHTER = 0.6

Array = NDArray[np.float32]


def render(layout: Layout, *, side: int = 112) -> NDArray[np.uint8]:
    """Draw a picture.

    Args:
        layout: What to draw.
        side: Height and width in pixels, at least 48.

    Returns:
        ``[side, side, 3]``, RGB.

    Raises:
        ConfigError: Too small a side (code ``scene_value``).
    """
    if side < MIN_SIDE:
        raise ConfigError(f"the side is {side}; at least {MIN_SIDE}", code="scene_value")
    canvas = _background(layout, side)
    for placed in layout.objects:
        _draw(canvas, placed, side)
    if layout.finish is not None:
        canvas = apply_finish(canvas, layout.finish)
    return np.rint(canvas.clip(0, 1) * 255).astype(np.uint8)


def _background(layout: Layout, side: int) -> Array:
    canvas = np.empty((side, side, 3), dtype=np.float32)
    canvas[:] = np.asarray(layout.tint, dtype=np.float32)
    rng = np.random.default_rng(layout.grain)
    if layout.background == "gradient":
        angle = rng.uniform(0, 2 * math.pi)
        ramp = np.linspace(-0.5, 0.5, side, dtype=np.float32)
        slope = ramp[None, :] * math.cos(angle) + ramp[:, None] * math.sin(angle)
        canvas += 0.14 * slope[..., None].astype(np.float32)
    elif layout.background == "paper":
        grain = rng.standard_normal((side, side), dtype=np.float32)
        canvas += 0.012 * grain[..., None]
    return canvas


def _draw(canvas: Array, placed: Placed, side: int) -> None:
    """Blend one object into its window of the canvas."""
    radius, x, y = placed.radius * side, placed.x * side, placed.y * side
    reach = (1.0 if placed.warp is None else MAX_REACH) * radius + 1.5
    left, top = max(int(x - reach), 0), max(int(y - reach), 0)
    right, bottom = min(int(x + reach) + 1, side), min(int(y + reach) + 1, side)
    across = np.arange(left, right, dtype=np.float32) + np.float32(0.5 - x)
    down = np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - y)
    cos, sin = np.float32(math.cos(placed.turn)), np.float32(math.sin(placed.turn))
    # The object's own axes, in pixels, y upwards.
    u: Array = (cos * across[None, :] + sin * down[:, None]).astype(np.float32)
    v: Array = (sin * across[None, :] - cos * down[:, None]).astype(np.float32)
    if placed.warp is not None:
        u, v = apply_warp(u, v, placed.warp, radius=radius)
    depth, colour, mark = _paint(u, v, placed.look, radius)
    if placed.other is not None:
        share = np.float32(placed.share)
        depth, colour, mark = (
            (1 - share) * one + share * two
            for one, two in zip(
                (depth, colour, mark), _paint(u, v, placed.other, radius), strict=True
            )
        )
    cover = np.float32(placed.opacity) * (depth + 0.5).clip(0, 1)
    colour = (colour + np.asarray(placed.shift, dtype=np.float32)).clip(0, 1)
    # A rim without texture keeps the shape where the second colour is like the background.
    mark = mark * (depth - _RIM * radius).clip(0, 1)
    paint = colour + (1 - colour) * mark[..., None]
    window = canvas[top:bottom, left:right]
    window += cover[..., None] * (paint - window)


def _paint(u: Array, v: Array, look: Look, radius: float) -> tuple[Array, Array, Array]:
    """Return a look's depth inside its edge, its colour, and how much lighter its texture is."""
    return (
        _depth(u, v, look.shape, radius),
        np.asarray(_RGB[look.colour], dtype=np.float32),
        np.float32(_LIGHTER) * _texture(u / radius, v / radius, look.texture, 1 / radius),
    )


def _depth(u: Array, v: Array, shape: str, radius: float) -> Array:
    """Return how far inside the edge each pixel lies, in pixels; negative outside."""
    distance = np.hypot(u, v)
    direction = np.arctan2(v, u) * np.float32(DIRECTIONS / (2 * math.pi))
    index = np.rint(direction).astype(np.int32) % DIRECTIONS
    reach, slant = outline(shape)
    # The distance to the edge along the ray, times the cosine by which the edge is slanted.
    depth = (reach[index] * np.float32(radius) - distance) * slant[index]
    if shape == "ring":
        depth = np.minimum(depth, distance - np.float32(_HOLE * radius))
    return depth


def _texture(u: Array, v: Array, texture: str, pixel: float) -> Array:
    """Return where the second colour is, in [0, 1]; ``u`` and ``v`` are in radii."""
    if texture == "plain":
        return np.zeros_like(u)
    sharpness = np.float32(1 / (math.pi * 2.2 * pixel))
    if texture == "striped":
        wave = np.sin(np.float32(2.2 * math.pi) * (u + v) / np.float32(math.sqrt(2)))
    elif texture == "checked":
        step = np.float32(1.7 * math.pi)
        wave = np.sin(step * u) * np.sin(step * v)
    else:
        step = np.float32(3.4 * math.pi)
        wave = np.sin(step * u) + np.sin(step * v) - 0.8
    return (wave * sharpness + 0.5).clip(0, 1).astype(np.float32)


@cache
def outline(shape: str) -> tuple[Array, Array]:
    """Return a shape's radius in each direction, and the cosine of its edge's slant there.

    The radii are at most 1; direction 0 points right, and they go on anticlockwise.

    Raises:
        ConfigError: An unknown shape (code ``scene_value``).
    """
    angles = np.linspace(0, 2 * math.pi, DIRECTIONS, endpoint=False)
    if shape in ("circle", "ring"):
        reach = np.full(DIRECTIONS, 1.0)
    else:
        reach = _rays(_corners(shape), angles)
    slope = (np.roll(reach, -1) - np.roll(reach, 1)) / (2 * (angles[1] - angles[0]))
    slant = reach / np.hypot(reach, slope)
    return reach.astype(np.float32), slant.astype(np.float32)


def _corners(shape: str) -> NDArray[np.float64]:
    """Return the corners of a polygon around the origin, [n, 2], y upwards."""
    if shape == "cross":
        arm, half = math.sqrt(1 - 0.3**2), 0.3
        quarter = np.array([[arm, -half], [arm, half], [half, half]])
        turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
        return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])
    if shape == "heart":
        t = np.linspace(0, 2 * math.pi, 240, endpoint=False)
        x = 16 * np.sin(t) ** 3
        y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        return np.stack([x, y + 1.5], axis=1)[::-1] / 17.0
    if shape not in _REGULAR:
        raise ConfigError(f"unknown shape {shape!r}", code="scene_value")
    count, first = _REGULAR[shape]
    angles = math.radians(first) + 2 * math.pi * np.arange(count) / count
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if shape == "star":
        corners[1::2] *= 0.42
    if shape == "diamond":
        corners[:, 0] *= 0.62
    return corners


def _rays(corners: NDArray[np.float64], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far rays from the origin go before they leave a polygon around it."""
    along = np.stack([np.cos(angles), np.sin(angles)], axis=1)[:, None, :]
    start, edge = corners, np.roll(corners, -1, axis=0) - corners
    # origin + r along = start + s edge
    crossing = along[..., 0] * edge[:, 1] - along[..., 1] * edge[:, 0]
    crossing = np.where(np.abs(crossing) < 1e-12, np.nan, crossing)
    r = (start[:, 0] * edge[:, 1] - start[:, 1] * edge[:, 0]) / crossing
    s = (start[:, 0] * along[..., 1] - start[:, 1] * along[..., 0]) / crossing
    hit = (s >= -1e-9) & (s <= 1 + 1e-9) & (r > 0)
    reach = np.where(hit, r, 0.0).max(axis=1)
    return reach / reach.max()
