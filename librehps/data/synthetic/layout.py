"""Where the objects of a scene lie, and the small differences between pictures of one scene."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from librehps.data.synthetic.finish import Finish
from librehps.data.synthetic.scene import Look, Scene
from librehps.data.synthetic.warp import Warp
from librehps.errors import ConfigError

__all__ = ["MIN_SIDE", "Layout", "Placed", "lay_out", "place_one_more"]

MIN_SIDE = 48

# Radius of an object as a share of the picture's side, from and to.
_RADII = {"small": (0.075, 0.09), "medium": (0.11, 0.13), "large": (0.155, 0.175)}
_GAP = 0.03
_MAX_TURN = math.radians(8)
_TRIES = 60
_SHRINK = 0.97
# What one object alone lies left of or above: the middle of the picture, and some room around it.
_MIDDLE = (0.5, 0.5, 0.05)


@dataclass(frozen=True)
class Placed:
    """An object in a picture.

    Args:
        look: How it looks.
        x: Column of its centre, in shares of the side.
        y: Row of its centre, downwards, in shares of the side.
        radius: Of the circle around it, in shares of the side.
        turn: How far it is turned, in radians.
        shift: What is added to its colour, red, green and blue in [-1, 1].
        other: A look that it is on the way to; ``None`` if it has only one.
        share: How far on the way it is, in [0, 1].
        opacity: 1 for an object, 0 for none, in between for one that can be seen through.
        warp: What is wrong with its form; ``None`` if nothing is.
    """

    look: Look
    x: float
    y: float
    radius: float
    turn: float
    shift: tuple[float, float, float]
    other: Look | None = None
    share: float = 0.0
    opacity: float = 1.0
    warp: Warp | None = None


@dataclass(frozen=True)
class Layout:
    """A picture before it is drawn.

    Args:
        objects: The objects; none overlaps another.
        background: ``"plain"``, ``"gradient"`` or ``"paper"``.
        tint: Colour of the background, red, green and blue in [0, 1].
        grain: Seed of what is random in the background.
        finish: What is wrong with the picture as a whole; ``None`` if nothing is.
    """

    objects: tuple[Placed, ...]
    background: str
    tint: tuple[float, float, float]
    grain: int
    finish: Finish | None = None


def lay_out(scene: Scene, rng: np.random.Generator) -> Layout:
    """Place the objects of a scene at random, so that its relation holds beyond doubt.

    Args:
        scene: What to place.
        rng: Source of randomness; the same state gives the same layout.
    """
    looks = [group.look for group in scene.groups for _ in range(group.count)]
    radii = [float(rng.uniform(*_RADII[look.size])) for look in looks]
    places = _places(radii, scene.relation, rng)
    return Layout(
        objects=tuple(_placed(look, place, rng) for look, place in zip(looks, places, strict=True)),
        background=str(rng.choice(["plain", "gradient", "paper"])),
        tint=_triple(rng.uniform(0.86, 1.0) - rng.uniform(0.0, 0.08, 3)),
        grain=int(rng.integers(2**31)),
    )


def place_one_more(layout: Layout, look: Look, rng: np.random.Generator) -> Placed | None:
    """Return one more object that touches none of a layout's; ``None`` where no room is found."""
    radius = float(rng.uniform(*_RADII[look.size]))
    taken = [(other.x, other.y, other.radius) for other in layout.objects]
    for shrink in (1.0, 0.9, 0.8):
        edge = shrink * radius + _GAP / 2
        for _ in range(_TRIES):
            x, y = (float(value) for value in rng.uniform(edge, 1 - edge, 2))
            place = (x, y, shrink * radius)
            if not any(_touch(place, other) for other in taken):
                return _placed(look, place, rng)
    return None


def _placed(look: Look, place: tuple[float, float, float], rng: np.random.Generator) -> Placed:
    x, y, radius = place
    return Placed(
        look=look,
        x=x,
        y=y,
        radius=radius,
        turn=float(rng.uniform(-_MAX_TURN, _MAX_TURN)),
        shift=_triple(rng.uniform(-0.05, 0.05, 3)),
    )


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _places(
    radii: list[float], relation: str | None, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Return centres and radii; everything shrinks a little while there is no room."""
    scale = 1.0
    while True:
        for _ in range(_TRIES):
            found: list[tuple[float, float, float]] = []
            for radius in radii:
                edge = scale * radius + _GAP / 2
                x, y = (float(value) for value in rng.uniform(edge, 1 - edge, 2))
                if any(_touch((x, y, scale * radius), other) for other in found):
                    break
                found.append((x, y, scale * radius))
            if len(found) < len(radii):
                continue
            if relation is None or _holds(relation, *[*found, _MIDDLE][:2]):
                return found
        scale *= _SHRINK


def _touch(a: tuple[float, float, float], b: tuple[float, float, float]) -> bool:
    return math.hypot(a[0] - b[0], a[1] - b[1]) < a[2] + b[2] + _GAP


def _holds(relation: str, a: tuple[float, float, float], b: tuple[float, float, float]) -> bool:
    """Whether ``a`` lies so to ``b`` by much more than it lies otherwise."""
    right, down = b[0] - a[0], b[1] - a[1]
    along = {"left of": right, "right of": -right, "above": down, "below": -down}
    if relation not in along:
        raise ConfigError(f"unknown relation {relation!r}", code="scene_value")
    across = down if relation in ("left of", "right of") else right
    return along[relation] > a[2] + b[2] and abs(across) < 0.7 * along[relation]
