from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from librehps.data.synthetic.scene import (
    COLOURS,
    MAX_OBJECTS,
    SHAPES,
    SPLITS,
    Group,
    Look,
    Scene,
    Split,
    is_held_out,
    sample_scene,
    split_of,
)
from librehps.errors import ConfigError

STAR, RING = Look("star", "red"), Look("ring", "blue")


def draw(split: Split, count: int, seed: int = 0, **options: bool) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [sample_scene(rng, split=split, **options) for _ in range(count)]


def test_one_of_nine_combinations_is_held_out_for_every_shape_and_colour() -> None:
    held = [pair for pair in product(SHAPES, COLOURS) if is_held_out(*pair)]
    assert len(held) == 9
    assert {shape for shape, _ in held} == set(SHAPES)
    assert {colour for _, colour in held} == set(COLOURS)


def test_splits_share_no_scene_and_hold_out_is_for_the_test() -> None:
    keys = {split: {scene.key for scene in draw(split, 400)} for split in SPLITS}
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not keys[first] & keys[second]
    for split in SPLITS:
        assert not any(scene.held_out for scene in draw(split, 100))
    assert all(scene.held_out for scene in draw("test", 100, held_out=True))
    with pytest.raises(ConfigError, match="nothing that is held out"):
        draw("train", 1, held_out=True)


def test_the_same_seed_gives_the_same_scenes() -> None:
    assert draw("train", 20) == draw("train", 20)
    assert draw("train", 20) != draw("train", 20, seed=1)


def test_everything_occurs() -> None:
    scenes = draw("train", 1500)
    looks = [group.look for scene in scenes for group in scene.groups]
    for name, known in (("shape", SHAPES), ("colour", COLOURS)):
        assert {getattr(look, name) for look in looks} == set(known)
    assert {scene.num_objects for scene in scenes} == set(range(1, MAX_OBJECTS + 1))
    assert {group.count for scene in scenes for group in scene.groups} == {1, 2, 3, 4}
    assert {scene.relation for scene in scenes} == {
        None,
        "left of",
        "right of",
        "above",
        "below",
    }


def test_scenes_that_mean_the_same_have_one_key_and_one_split() -> None:
    star, ring = Group(STAR), Group(RING)
    assert Scene((star, ring), "left of").key == Scene((ring, star), "right of").key
    assert Scene((star, ring), "above").key == Scene((ring, star), "below").key
    assert Scene((star, ring)).key == Scene((ring, star)).key
    different = {
        Scene((star, ring)).key,
        Scene((star, ring), "left of").key,
        Scene((ring, star), "left of").key,
        Scene((star, ring), "above").key,
        Scene((star,)).key,
        Scene((Group(STAR, 2),)).key,
        Scene((Group(Look("star", "red", size="small")),)).key,
        Scene((Group(Look("star", "red", texture="dotted")),)).key,
        Scene((star,), "left of").key,
        Scene((star,), "right of").key,
    }
    assert len(different) == 10
    assert split_of(Scene((star, ring), "left of")) == split_of(Scene((ring, star), "right of"))


def test_scenes_that_make_no_sense_are_refused() -> None:
    star, ring = Group(STAR), Group(RING)
    for groups, relation in (
        ((), None),
        ((Group(STAR, 5),), None),
        ((Group(STAR, 0), ring), None),
        ((star, Group(Look("star", "red", "dotted"))), None),
        ((Group(STAR, 2),), "above"),
        ((star, Group(RING, 2)), "above"),
    ):
        with pytest.raises(ConfigError) as caught:
            Scene(groups, relation)
        assert caught.value.code == "scene_value"
