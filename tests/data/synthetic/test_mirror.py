from __future__ import annotations

from collections import Counter

import pytest

from librehps.data.synthetic import Fault, World
from librehps.data.synthetic.mirror import shown_scene
from librehps.data.synthetic.scene import split_of

WORLD = World(seed=3, side=64)
ALIGNMENT = ("subject", "colour", "shape", "texture", "count", "relation")


@pytest.mark.parametrize("kind", ALIGNMENT)
def test_the_wrong_picture_is_right_for_the_scene_that_it_shows(kind: str) -> None:
    found = 0
    for number in range(40):
        pair = WORLD.pair("train", number, fault=Fault(kind))
        mirrored = WORLD.mirror(pair)
        if mirrored is None:
            continue
        found += 1
        wrong = pair.a if pair.a.faults else pair.b
        shown = Counter(
            placed.other or placed.look for placed in wrong.layout.objects if placed.opacity == 1.0
        )
        asked = {group.look: group.count for group in mirrored.scene.groups}
        assert dict(shown) == asked
        assert mirrored.scene.key != pair.scene.key
        assert split_of(mirrored.scene) == "train"
        # The same pictures, and what was better is worse.
        assert (mirrored.a.layout, mirrored.b.layout) == (pair.a.layout, pair.b.layout)
        for axis in ("overall", "alignment"):
            assert mirrored.a.quality(axis) - mirrored.b.quality(axis) == pytest.approx(
                pair.b.quality(axis) - pair.a.quality(axis)
            )
        assert mirrored.probabilities["style"] == 0.5
        assert mirrored == WORLD.mirror(pair)
    assert found > 10


def test_a_relation_is_turned_round() -> None:
    pair = WORLD.pair("train", 5, fault=Fault("relation"))
    wrong = pair.a if pair.a.faults else pair.b
    shown = shown_scene(pair.scene, wrong.layout, "relation")
    assert shown is not None
    first, second = wrong.layout.objects
    relation = shown.relation or ""
    lies = {
        "left of": first.x < second.x,
        "right of": first.x > second.x,
        "above": first.y < second.y,
        "below": first.y > second.y,
    }
    assert lies[relation]
    assert shown.groups == pair.scene.groups


def test_a_faint_fault_is_a_strong_one_seen_from_the_other_prompt() -> None:
    pair = next(
        pair
        for number in range(40)
        if WORLD.mirror(pair := WORLD.pair("train", number, fault=Fault("colour", 0.25)))
    )
    mirrored = WORLD.mirror(pair)
    assert mirrored is not None
    strengths = sorted(fault.strength for one in (mirrored.a, mirrored.b) for fault in one.faults)
    assert strengths == [0.75, 1.0]


@pytest.mark.parametrize("kind", ["melted", "palette"])
def test_what_no_prompt_asks_for_has_no_mirror(kind: str) -> None:
    assert WORLD.mirror(WORLD.pair("train", 0, fault=Fault(kind))) is None


def test_pairs_with_more_than_one_fault_have_none() -> None:
    pairs = [WORLD.pair("train", number) for number in range(60)]
    for pair in pairs:
        faults = [*pair.a.faults, *pair.b.faults]
        if len(faults) != 1:
            assert WORLD.mirror(pair) is None
    assert any(WORLD.mirror(pair) for pair in pairs)
