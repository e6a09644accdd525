from __future__ import annotations

from inspect import unwrap

import numpy as np
import pytest

from librehps.data.synthetic.annotators import vote_probability
from librehps.data.synthetic.faults import FAULTS, Fault
from librehps.data.synthetic.scene import SPLITS
from librehps.data.synthetic.world import AXES, SyntheticPair, World
from librehps.errors import ConfigError


@pytest.fixture(scope="module")
def pairs() -> list[SyntheticPair]:
    return list(World(seed=3).pairs("train", 800))


def test_a_pair_depends_on_its_number_alone() -> None:
    world = World(seed=5)
    later = list(world.pairs("validation", 2, start=7))
    assert later[1] == world.pair("validation", 8)
    assert later[0] != later[1]
    assert (world.draw(later[0].a) == World(seed=5).draw(later[0].a)).all()
    assert World(seed=6).pair("validation", 8) != later[1]


def test_splits_share_no_scene_whatever_the_seeds() -> None:
    scenes = {
        split: {pair.scene.key for seed in (0, 1) for pair in World(seed).pairs(split, 150)}
        for split in SPLITS
    }
    assert not scenes["train"] & scenes["test"]
    assert not scenes["train"] & scenes["validation"]
    assert not scenes["validation"] & scenes["test"]


def test_combinations_that_are_held_out_come_where_they_are_asked_for_only(
    pairs: list[SyntheticPair],
) -> None:
    assert not any(pair.scene.held_out for pair in pairs)
    strange = list(World(held_out=True).pairs("test", 20))
    assert all(pair.scene.held_out for pair in strange)
    assert strange[0].key == "test_held_out-0-0"


def test_probabilities_are_those_of_the_differences_in_quality(pairs: list[SyntheticPair]) -> None:
    for pair in pairs:
        assert set(pair.probabilities) == set(pair.votes) == set(AXES)
        for axis in AXES:
            difference = pair.a.quality(axis) - pair.b.quality(axis)
            stated = vote_probability(difference, num_objects=pair.scene.num_objects)
            assert pair.probabilities[axis] == stated
            assert pair.noise == 3.0 ** (pair.scene.num_objects - 1)
            assert 0 <= pair.votes[axis] <= pair.num_votes


def test_an_axis_that_is_not_hit_is_a_tie(pairs: list[SyntheticPair]) -> None:
    for pair in pairs:
        hit = {fault.axis for fault in (*pair.a.faults, *pair.b.faults)}
        for axis in FAULTS.values():
            if axis not in hit:
                assert pair.probabilities[axis] == 0.5


def test_votes_follow_the_probabilities(pairs: list[SyntheticPair]) -> None:
    for axis in AXES:
        expected = np.array([pair.probabilities[axis] * pair.num_votes for pair in pairs])
        variance = np.array(
            [
                pair.probabilities[axis] * (1 - pair.probabilities[axis]) * pair.num_votes
                for pair in pairs
            ]
        )
        seen = np.array([pair.votes[axis] for pair in pairs])
        assert abs(seen.sum() - expected.sum()) < 4 * np.sqrt(variance.sum())
        assert ((seen - expected) ** 2).sum() == pytest.approx(variance.sum(), rel=0.25)


def test_every_fault_occurs_on_both_sides_and_faint_as_well_as_strong(
    pairs: list[SyntheticPair],
) -> None:
    first = [fault for pair in pairs for fault in pair.a.faults]
    second = [fault for pair in pairs for fault in pair.b.faults]
    for kind in FAULTS:
        assert any(fault.kind == kind for fault in first), kind
        assert any(fault.kind == kind for fault in second), kind
    strengths = np.array([fault.strength for fault in first + second])
    assert 0.25 < (strengths == 1.0).mean() < 0.45
    assert (strengths < 0.2).mean() > 0.05
    # One side is better as often as the other.
    better = np.array([pair.probabilities["overall"] for pair in pairs])
    assert abs((better > 0.5).mean() - (better < 0.5).mean()) < 0.12
    shared = np.mean([pair.shared for pair in pairs])
    assert 0.43 < shared < 0.57


def test_pairs_for_a_test_have_the_fault_that_is_asked_for() -> None:
    world = World()
    for number in range(30):
        pair = world.pair("test", number, fault=Fault("relation", 0.4), shared=False)
        assert {pair.a.faults, pair.b.faults} == {(Fault("relation", 0.4),), ()}
        assert not pair.shared
        assert pair.scene.relation is not None


def test_faults_come_as_often_as_they_are_asked_for_in_scenes_that_can_have_them() -> None:
    world = World(seed=4, fault_shares={"relation": 3.0, "texture": 1.0})
    pairs = list(world.pairs("train", 400))
    one = [fault.kind for pair in pairs for fault in (*pair.a.faults, *pair.b.faults)]
    assert set(one) == {"relation", "texture"}
    assert 0.65 < one.count("relation") / len(one) < 0.8
    # A pair has two faults at most, and the second fits the scene of the first.
    assert all(pair.scene.relation is not None for pair in pairs if _has(pair, "relation"))
    assert any(_has(pair, "relation") and _has(pair, "texture") for pair in pairs)


def test_a_placed_object_goes_to_the_other_side() -> None:
    world = World(seed=2, most_objects=1, placed=True, fault_shares={"relation": 1.0})
    mirrors = 0
    for pair in world.pairs("train", 60):
        assert pair.scene.num_objects == 1
        assert "the middle" in pair.prompt
        for picture in (pair.a, pair.b):
            (one,) = picture.layout.objects
            assert one.radius <= min(one.x, one.y, 1 - one.x, 1 - one.y) + 1e-9
            side = {
                "left of": 0.5 - one.x,
                "right of": one.x - 0.5,
                "above": 0.5 - one.y,
                "below": one.y - 0.5,
            }[pair.scene.relation or ""]
            strengths = [fault.strength for fault in picture.faults]
            if not strengths or min(strengths) == 1.0:
                assert side * (1 - 2 * len(strengths)) > 0, pair.prompt
        mirror = world.mirror(pair)
        if mirror is not None:
            mirrors += 1
            assert "the middle" in mirror.prompt
            assert {pair.scene.relation, mirror.scene.relation} in (
                {"left of", "right of"},
                {"above", "below"},
            )
    assert mirrors > 10


def test_where_things_lie_changes_nothing_else() -> None:
    plain, placed = World(seed=3), World(seed=3, placed=True)
    scenes = [placed.pair("train", number).scene for number in range(60)]
    assert all(scene.relation is not None for scene in scenes if scene.num_objects == 1)
    assert any(scene.num_objects > 1 for scene in scenes)
    assert all(
        pair.scene.relation is None or pair.scene.num_objects == 2
        for pair in plain.pairs("train", 60)
    )


def _has(pair: SyntheticPair, kind: str) -> bool:
    return kind in {fault.kind for fault in (*pair.a.faults, *pair.b.faults)}


def test_what_makes_no_sense_is_refused() -> None:
    wrong = ({"seed": -1}, {"side": 20}, {"faintest": 0.0}, {"most_objects": 0}, {"clutter": 0.9})
    for world in wrong:
        with pytest.raises(ConfigError, match="at least"):
            World(**world)
    with pytest.raises(ConfigError, match="two objects"):
        World(most_objects=1).pair("train", 0, fault=Fault("relation"))
    with pytest.raises(ConfigError, match="two objects"):
        World(most_objects=1, fault_shares={"shape": 1.0, "relation": 1.0})
    assert World(most_objects=1, placed=True).pair("train", 0, fault=Fault("relation"))
    with pytest.raises(ConfigError, match="unknown fault 'form'"):
        World(fault_shares={"form": 1.0})
    for shares in (
        {},
        {"shape": 0.0},
        {"shape": float("inf")},
        {"shape": float("nan")},
        {"shape": 1e308, "colour": 1e308},
    ):
        with pytest.raises(ConfigError, match="above 0"):
            World(fault_shares=shares)
    with pytest.raises(ConfigError, match="above 0"):
        # Types are checked in tests only.
        unwrap(World.__init__)(object.__new__(World), fault_shares={"shape": "1"})


def test_a_pair_that_no_split_has_is_refused() -> None:
    with pytest.raises(ConfigError, match="numbers from 0") as caught:
        World().pair("train", -1)
    assert caught.value.code == "world_value"
    # Types are checked in tests only.
    for ask in (unwrap(World.name), lambda *given: unwrap(World.pair)(*given, 1)):
        with pytest.raises(ConfigError, match="'tran'; did you mean 'train'") as caught:
            ask(World(), "tran")
        assert caught.value.code == "world_value"


def test_noise_that_no_float_can_say_is_refused_before_a_pair_is_drawn() -> None:
    with pytest.raises(ConfigError, match="noisier") as caught:
        World(clutter=1e200)
    assert caught.value.code == "annotator_value"
