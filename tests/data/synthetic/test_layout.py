from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from librehps.data.synthetic.layout import lay_out
from librehps.data.synthetic.scene import RELATIONS, Group, Look, Scene, sample_scene
from librehps.errors import ConfigError

STAR, RING = Look("star", "red"), Look("ring", "blue", size="large")


def test_objects_lie_inside_and_apart() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        scene = sample_scene(rng, split="train")
        layout = lay_out(scene, rng)
        assert len(layout.objects) == scene.num_objects
        for placed in layout.objects:
            assert placed.radius <= min(placed.x, placed.y, 1 - placed.x, 1 - placed.y)
        for a, b in combinations(layout.objects, 2):
            assert math.hypot(a.x - b.x, a.y - b.y) > a.radius + b.radius


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_relation_holds_beyond_doubt(relation: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        a, b = lay_out(Scene((Group(STAR), Group(RING)), relation), rng).objects
        lead = {
            "left of": b.x - a.x,
            "right of": a.x - b.x,
            "above": b.y - a.y,
            "below": a.y - b.y,
        }
        assert lead[relation] > a.radius + b.radius
        others = [lead[name] for name in RELATIONS if name != relation]
        assert max(others) < 0.71 * lead[relation]


@pytest.mark.parametrize("relation", RELATIONS)
def test_one_object_lies_beyond_the_middle(relation: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        (one,) = lay_out(Scene((Group(STAR),), relation), rng).objects
        right, down = one.x - 0.5, one.y - 0.5
        lead = {"left of": -right, "right of": right, "above": -down, "below": down}
        assert lead[relation] > one.radius
        assert max(lead[name] for name in RELATIONS if name != relation) < 0.71 * lead[relation]


def test_sizes_can_be_told_apart() -> None:
    rng = np.random.default_rng(2)
    radii: dict[str, list[float]] = {}
    for size in ("small", "medium", "large"):
        scene = Scene((Group(Look("star", "red", size=size)),))
        radii[size] = [lay_out(scene, rng).objects[0].radius for _ in range(50)]
    assert max(radii["small"]) < 0.85 * min(radii["medium"])
    assert max(radii["medium"]) < 0.85 * min(radii["large"])


def test_four_large_objects_find_room() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        assert len(lay_out(Scene((Group(RING, 4),)), rng).objects) == 4


def test_the_same_seed_gives_the_same_layout() -> None:
    scene = Scene((Group(STAR, 2), Group(RING)))
    first, second, third = (lay_out(scene, np.random.default_rng(s)) for s in (4, 4, 5))
    assert first == second != third


def test_an_unknown_relation_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown relation 'beside'"):
        lay_out(Scene((Group(STAR), Group(RING)), "beside"), np.random.default_rng(0))
