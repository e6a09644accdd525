from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from librehps.data.synthetic.faults import FAULT_AXES, FAULTS, Fault, fits, spoil
from librehps.data.synthetic.layout import lay_out
from librehps.data.synthetic.render import render
from librehps.data.synthetic.scene import (
    MAX_OBJECTS,
    Group,
    Look,
    Scene,
    is_held_out,
    sample_scene,
)
from librehps.data.synthetic.world import World
from librehps.errors import ConfigError

PAIR = Scene(
    (Group(Look("star", "red", "striped")), Group(Look("square", "blue"))), relation="left of"
)


def scene_for(kind: str, rng: np.random.Generator) -> Scene:
    while True:
        scene = sample_scene(rng, split="train")
        if fits(kind, scene):
            return scene


def change(kind: str, strength: float, seed: int) -> float:
    """Return how much a fault changes a picture, in levels per value."""
    rng = np.random.default_rng(seed)
    scene = scene_for(kind, rng)
    layout = lay_out(scene, rng)
    spoilt = spoil(scene, layout, Fault(kind, strength), rng)
    return float(abs(render(spoilt).astype(float) - render(layout)).mean())


@pytest.mark.parametrize("kind", FAULTS)
def test_every_fault_can_be_seen_and_grows_with_its_strength(kind: str) -> None:
    faint, strong = (
        np.array([change(kind, strength, seed) for seed in range(10)]) for strength in (0.1, 1.0)
    )
    assert (strong > 0).all()
    assert strong.mean() > 1.5 * faint.mean()


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_leaves_what_belongs_to_other_axes(kind: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        scene = scene_for(kind, rng)
        layout = lay_out(scene, rng)
        spoilt = spoil(scene, layout, Fault(kind, 0.7), rng)
        axis = FAULTS[kind]
        assert (spoilt.finish is not None) == (axis == "style")
        assert any(placed.warp is not None for placed in spoilt.objects) == (axis == "coherence")
        if axis != "alignment":
            plain = [replace(placed, warp=None) for placed in spoilt.objects]
            assert plain == list(layout.objects)


def test_a_mistaken_group_shows_another_look_that_training_may_see() -> None:
    rng = np.random.default_rng(2)
    for kind in ("colour", "shape", "texture"):
        for _ in range(40):
            scene = scene_for(kind, rng)
            layout = lay_out(scene, rng)
            objects = spoil(scene, layout, Fault(kind), rng).objects
            wrong = {placed.look for placed in objects if placed.other is not None}
            assert len(wrong) == 1
            others = {placed.other for placed in objects if placed.look in wrong}
            assert len(others) == 1
            (look,), (other,) = wrong, others
            assert replace(look, **{kind: getattr(other, kind)}) == other
            assert look != other
            assert not is_held_out(other.shape, other.colour)


def test_a_plain_texture_is_not_said_and_cannot_be_wrong() -> None:
    assert not fits("texture", Scene((Group(Look("star", "red")),)))
    rng = np.random.default_rng(0)
    layout = lay_out(PAIR, rng)
    objects = spoil(PAIR, layout, Fault("texture"), rng).objects
    assert objects[0].other is not None
    assert objects[1].other is None


def test_a_wrong_count_is_off_by_one() -> None:
    rng = np.random.default_rng(3)
    more = fewer = 0
    for _ in range(80):
        scene = sample_scene(rng, split="train")
        layout = lay_out(scene, rng)
        objects = spoil(scene, layout, Fault("count"), rng).objects
        seen = sum(placed.opacity for placed in objects)
        assert abs(seen - scene.num_objects) == 1
        assert seen <= MAX_OBJECTS + 1
        more, fewer = more + (seen > scene.num_objects), fewer + (seen < scene.num_objects)
        for one in objects:
            for two in objects:
                if one is not two:
                    assert math.hypot(one.x - two.x, one.y - two.y) > one.radius + two.radius
    assert min(more, fewer) > 10


def test_a_wrong_relation_is_the_opposite_one_within_the_picture() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        layout = lay_out(PAIR, rng)
        assert layout.objects[0].x < layout.objects[1].x
        for strength in (0.25, 0.5, 1.0):
            first, second = spoil(PAIR, layout, Fault("relation", strength), rng).objects
            for placed in (first, second):
                assert placed.radius <= placed.x + 1e-9
                assert placed.x + placed.radius <= 1 + 1e-9
                assert placed.radius <= placed.y + 1e-9
                assert placed.y + placed.radius <= 1 + 1e-9
        assert first.x > second.x


def test_a_wrong_subject_has_nothing_that_was_asked_for() -> None:
    for number in range(30):
        pair = World(seed=2).pair("train", number, fault=Fault("subject", 0.7))
        wrong = pair.a if pair.a.faults else pair.b
        said = [group.look for group in pair.scene.groups]
        others = [placed.other for placed in wrong.layout.objects]
        assert {placed.share for placed in wrong.layout.objects} == {0.7}
        for other in others:
            assert other is not None
            assert other.shape not in {look.shape for look in said}
            assert other.colour not in {look.colour for look in said}
        assert len(set(others)) == len(said)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown fault 'colours'; known: subject"):
        Fault("colours")
    for strength in (0.0, -1.0, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="strength"):
            Fault("blur", strength)
    rng = np.random.default_rng(0)
    single = Scene((Group(Look("star", "red")),))
    with pytest.raises(ConfigError, match="nothing of relation"):
        spoil(single, lay_out(single, rng), Fault("relation"), rng)
    assert set(FAULTS.values()) == set(FAULT_AXES)
