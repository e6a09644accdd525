"""Faults: what is wrong with a picture, each on one axis and at a strength.

Alignment: the picture shows something else than was asked for. Coherence: an object's form is
broken. Style: the picture as a whole looks bad. A fault changes a layout, so that a spoiled picture
is drawn by the same code as a good one. At strength 1 it is beyond doubt; towards 0 it can no
longer be seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import cast, get_args

import numpy as np

from librehps.data.synthetic.finish import Finish, FinishKind
from librehps.data.synthetic.layout import Layout, Placed, place_one_more
from librehps.data.synthetic.scene import (
    COLOURS,
    SHAPES,
    TEXTURES,
    Look,
    Scene,
    is_held_out,
)
from librehps.data.synthetic.warp import Warp, WarpKind
from librehps.errors import ConfigError

__all__ = ["FAULTS", "FAULT_AXES", "Fault", "fits", "spoil"]

#: Which axis each fault hits.
FAULTS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("subject", "colour", "shape", "texture", "count", "relation"), "alignment")
    | dict.fromkeys(get_args(WarpKind), "coherence")
    | dict.fromkeys(get_args(FinishKind), "style")
)
FAULT_AXES = ("alignment", "coherence", "style")

# What an object may lose from one trait of its look to another: all the other names.
_TRAITS = {"colour": COLOURS, "shape": SHAPES, "texture": TEXTURES}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Args:
        kind: A name in `FAULTS`.
        strength: In (0, 1].

    Raises:
        ConfigError: No such fault, or a strength out of range (code ``fault_value``).
    """

    kind: str
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise ConfigError(
                f"unknown fault {self.kind!r}; known: {', '.join(FAULTS)}", code="fault_value"
            )
        if not 0.0 < self.strength <= 1.0:
            raise ConfigError(
                f"a fault's strength is above 0 and at most 1, not {self.strength}",
                code="fault_value",
            )

    @property
    def axis(self) -> str:
        """The axis that it hits."""
        return FAULTS[self.kind]


def fits(kind: str, scene: Scene) -> bool:
    """Whether a scene can have a fault: only what is said of it can be shown wrong."""
    if kind == "relation":
        return scene.relation is not None
    # A prompt says "a red star" of a plain one, and a striped one is a red star too.
    return kind != "texture" or any(group.look.texture != "plain" for group in scene.groups)


def spoil(scene: Scene, layout: Layout, fault: Fault, rng: np.random.Generator) -> Layout:
    """Return a layout with a fault.

    A fault of colour, shape or texture is in all objects of one group; one of subject or of form
    in all objects of the picture. So faults of one strength are as easy to see in every scene.

    Args:
        scene: What was asked for.
        layout: A picture of it, as `lay_out` gave it.
        fault: What shall be wrong.
        rng: Source of randomness: which group, which other colour, and so on.

    Raises:
        ConfigError: The scene cannot have that fault, see `fits` (code ``fault_value``).
    """
    if not fits(fault.kind, scene):
        raise ConfigError(
            f"the scene says nothing of {fault.kind} that could be wrong", code="fault_value"
        )
    if fault.axis == "style":
        kind = cast("FinishKind", fault.kind)
        return replace(layout, finish=Finish(kind, fault.strength, int(rng.integers(2**31))))
    if fault.axis == "coherence":
        kind = cast("WarpKind", fault.kind)
        objects = tuple(
            replace(placed, warp=Warp(kind, fault.strength, int(rng.integers(2**31))))
            for placed in layout.objects
        )
    elif fault.kind == "count":
        objects = _miscounted(scene, layout, fault.strength, rng)
    elif fault.kind == "relation":
        objects = _turned_round(layout, fault.strength)
    elif fault.kind == "subject":
        objects = _something_else(scene, layout, fault.strength, rng)
    else:
        objects = _mistaken(scene, layout, fault, rng)
    return replace(layout, objects=objects)


def _mistaken(
    scene: Scene, layout: Layout, fault: Fault, rng: np.random.Generator
) -> tuple[Placed, ...]:
    """Give the objects of one group another colour, shape or texture."""
    said = [group.look for group in scene.groups]
    open_to = [look for look in said if fault.kind != "texture" or look.texture != "plain"]
    look = open_to[int(rng.integers(len(open_to)))]
    choices = [
        other
        for value in _TRAITS[fault.kind]
        if (other := replace(look, **{fault.kind: value})) != look
        # Another combination that is held out would show training what it must not see, and one
        # that the scene has already would be a fault of count.
        and not (is_held_out(other.shape, other.colour) and not scene.held_out)
        and not any(_alike(other, known) for known in said if known != look)
    ]
    other = choices[int(rng.integers(len(choices)))]
    return tuple(
        replace(placed, other=other, share=fault.strength) if placed.look == look else placed
        for placed in layout.objects
    )


def _something_else(
    scene: Scene, layout: Layout, strength: float, rng: np.random.Generator
) -> tuple[Placed, ...]:
    """Give each group a look with a shape and a colour that were not asked for."""
    said = [group.look for group in scene.groups]
    choices = [
        (shape, colour)
        for shape in SHAPES
        for colour in COLOURS
        if shape not in {look.shape for look in said}
        and colour not in {look.colour for look in said}
        and (scene.held_out or not is_held_out(shape, colour))
    ]
    places = rng.choice(len(choices), size=len(said), replace=False)
    others = {
        look: replace(look, shape=choices[place][0], colour=choices[place][1])
        for look, place in zip(said, places, strict=True)
    }
    return tuple(
        replace(placed, other=others[placed.look], share=strength) for placed in layout.objects
    )


def _alike(one: Look, two: Look) -> bool:
    return (one.shape, one.colour) == (two.shape, two.colour)


def _miscounted(
    scene: Scene, layout: Layout, strength: float, rng: np.random.Generator
) -> tuple[Placed, ...]:
    """Fade one object in that is too much, or out that is missing."""
    several = [group.look for group in scene.groups if group.count > 1]
    lose = several != [] and bool(rng.random() < 0.5)
    if not lose:
        group = scene.groups[int(rng.integers(len(scene.groups)))]
        extra = place_one_more(layout, group.look, rng)
        if extra is not None:
            return (*layout.objects, replace(extra, opacity=strength))
    # Without room for one more, one is missing: of a group where that is a matter of number.
    looks = several or [group.look for group in scene.groups]
    look = looks[int(rng.integers(len(looks)))]
    places = [index for index, placed in enumerate(layout.objects) if placed.look == look]
    gone = places[int(rng.integers(len(places)))]
    return tuple(
        replace(placed, opacity=1.0 - strength) if index == gone else placed
        for index, placed in enumerate(layout.objects)
    )


def _turned_round(layout: Layout, strength: float) -> tuple[Placed, ...]:
    """Turn two objects about the point between them: by half a circle at strength 1.

    One object alone is turned about the middle of the picture, as if another lay across from it.
    """
    first = layout.objects[0]
    across = replace(first, x=1.0 - first.x, y=1.0 - first.y)
    second = layout.objects[1] if len(layout.objects) > 1 else across
    x, y = (first.x + second.x) / 2, (first.y + second.y) / 2
    half = math.hypot(second.x - first.x, second.y - first.y) / 2
    # A long diagonal becomes no longer than what fits along a side.
    half = min(half, (1.0 - first.radius - second.radius) / 2)
    angle = math.atan2(first.y - second.y, first.x - second.x) + math.pi * strength
    right, down = half * math.cos(angle), half * math.sin(angle)
    turned = [
        replace(first, x=x + right, y=y + down),
        replace(second, x=x - right, y=y - down),
    ]
    # Turning may lead over the border: both are moved back by the same way.
    right, down = (
        _way_back(centres, turned) for centres in ([p.x for p in turned], [p.y for p in turned])
    )
    moved = [replace(placed, x=placed.x + right, y=placed.y + down) for placed in turned]
    return tuple(moved[: len(layout.objects)])


def _way_back(centres: list[float], objects: list[Placed]) -> float:
    low = min(centre - placed.radius for centre, placed in zip(centres, objects, strict=True))
    high = max(centre + placed.radius for centre, placed in zip(centres, objects, strict=True))
    return max(0.0, -low) - max(0.0, high - 1.0)
