"""What a picture shows: the grammar of scenes, and which split each belongs to.

A scene is one to four objects in up to three groups. It says everything that a prompt may say;
where the objects lie and how they are drawn is not part of it (``layout``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from librehps.errors import ConfigError

__all__ = [
    "COLOURS",
    "MAX_OBJECTS",
    "RELATIONS",
    "SHAPES",
    "SIZES",
    "SPLITS",
    "TEXTURES",
    "Group",
    "Look",
    "Scene",
    "Split",
    "is_held_out",
    "sample_scene",
    "split_of",
]

SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond", "hexagon", "heart", "ring")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black")
TEXTURES = ("plain", "striped", "dotted", "checked")
SIZES = ("small", "medium", "large")
RELATIONS = ("left of", "right of", "above", "below")
MAX_OBJECTS = 4

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

# How often the kinds of scene come: one object, one group of several, two in relation, groups.
_KINDS = {"single": 0.2, "count": 0.25, "relation": 0.3, "groups": 0.25}
_TEXTURE_SHARES = (0.55, 0.15, 0.15, 0.15)
_SIZE_SHARES = (0.25, 0.5, 0.25)


@dataclass(frozen=True, order=True)
class Look:
    """How an object looks: a name from each of `SHAPES`, `COLOURS`, `TEXTURES` and `SIZES`."""

    shape: str
    colour: str
    texture: str = "plain"
    size: str = "medium"


@dataclass(frozen=True, order=True)
class Group:
    """Objects that look the same.

    Args:
        look: How they look.
        count: How many there are.
    """

    look: Look
    count: int = 1


@dataclass(frozen=True)
class Scene:
    """Groups of objects of different looks.

    Args:
        groups: One to three groups with at most `MAX_OBJECTS` objects between them.
        relation: How the first of exactly two single objects lies to the second, or one object
            alone to the middle of the picture; ``None`` where nothing is said about it.

    Raises:
        ConfigError: Too many objects or none, two groups of one shape and colour, or a relation
            of anything but one or two single objects (code ``scene_value``).
    """

    groups: tuple[Group, ...]
    relation: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.num_objects <= MAX_OBJECTS or any(g.count < 1 for g in self.groups):
            raise ConfigError(
                f"a scene has 1 to {MAX_OBJECTS} objects, not {self.num_objects}",
                code="scene_value",
            )
        kinds = {(group.look.shape, group.look.colour) for group in self.groups}
        if len(kinds) < len(self.groups):
            raise ConfigError("two groups have one shape and colour", code="scene_value")
        counts = [group.count for group in self.groups]
        if self.relation is not None and counts not in ([1], [1, 1]):
            raise ConfigError("a relation is of one or two single objects", code="scene_value")

    @property
    def num_objects(self) -> int:
        """How many objects there are in all groups."""
        return sum(group.count for group in self.groups)

    @property
    def key(self) -> str:
        """The same text for scenes that mean the same, and only for those."""
        groups, relation = self.groups, self.relation
        if relation in ("right of", "below") and len(groups) > 1:
            groups = groups[::-1]
            relation = "left of" if relation == "right of" else "above"
        elif relation is None:
            groups = tuple(sorted(groups))
        words = [
            f"{group.count} {group.look.size} {group.look.texture} {group.look.colour} "
            f"{group.look.shape}"
            for group in groups
        ]
        if relation is not None and len(words) == 1:
            words.append("the middle")
        return f" {relation or 'and'} ".join(words)

    @property
    def held_out(self) -> bool:
        """Whether a combination that training never shows is in it."""
        return any(is_held_out(group.look.shape, group.look.colour) for group in self.groups)


def is_held_out(shape: str, colour: str) -> bool:
    """Whether a combination of shape and colour is kept for the test.

    Nine of the 81 are: one for every shape, and one for every colour.
    """
    return (SHAPES.index(shape) + 2 * COLOURS.index(colour)) % len(SHAPES) == 4


def split_of(scene: Scene) -> Split:
    """Return the one split that a scene may occur in: 80 % train, 5 % validation, 15 % test.

    It depends on what the scene means and on nothing else, so no seed can make splits overlap.
    Scenes with a combination that is held out are all in the test.
    """
    if scene.held_out:
        return "test"
    digest = hashlib.sha256(scene.key.encode()).digest()
    place = int.from_bytes(digest[:4], "little") % 100
    return "train" if place < 80 else "validation" if place < 85 else "test"


def sample_scene(
    rng: np.random.Generator, *, split: Split, held_out: bool = False, placed: bool = False
) -> Scene:
    """Draw a scene of a split.

    Args:
        rng: Source of randomness.
        split: Which split.
        held_out: Whether the scene has a combination that is held out, or none.
        placed: Whether a scene of one object says how it lies to the middle of the picture.

    Raises:
        ConfigError: Such a scene of another split than the test (code ``scene_value``).
    """
    if held_out and split != "test":
        raise ConfigError(f"the split {split} has nothing that is held out", code="scene_value")
    while True:
        scene = _draw(rng, placed=placed)
        if scene.held_out == held_out and split_of(scene) == split:
            return scene


def _draw(rng: np.random.Generator, *, placed: bool) -> Scene:
    kind = rng.choice(list(_KINDS), p=list(_KINDS.values()))
    if kind == "single":
        relation = str(rng.choice(RELATIONS)) if placed else None
        return Scene((Group(_draw_look(rng)),), relation)
    if kind == "count":
        return Scene((Group(_draw_look(rng), int(rng.integers(2, MAX_OBJECTS + 1))),))
    if kind == "relation":
        relation = str(rng.choice(RELATIONS))
        return Scene(_draw_groups(rng, [1, 1]), relation)
    counts = [[1, 1], [2, 1], [1, 2], [1, 1, 1], [2, 2], [3, 1], [1, 3], [1, 1, 2]]
    return Scene(_draw_groups(rng, counts[int(rng.integers(len(counts)))]))


def _draw_groups(rng: np.random.Generator, counts: list[int]) -> tuple[Group, ...]:
    looks: list[Look] = []
    while len(looks) < len(counts):
        look = _draw_look(rng)
        if all((look.shape, look.colour) != (known.shape, known.colour) for known in looks):
            looks.append(look)
    return tuple(Group(look, count) for look, count in zip(looks, counts, strict=True))


def _draw_look(rng: np.random.Generator) -> Look:
    return Look(
        shape=str(rng.choice(SHAPES)),
        colour=str(rng.choice(COLOURS)),
        texture=str(rng.choice(TEXTURES, p=_TEXTURE_SHARES)),
        size=str(rng.choice(SIZES, p=_SIZE_SHARES)),
    )
