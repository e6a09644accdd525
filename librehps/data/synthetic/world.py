"""Pairs of pictures with votes: the number of a pair, its split and a seed say all about it.

A pair is one prompt and two pictures of its scene, in which something may be wrong. Each picture
has a quality on every axis, the annotators vote on the differences, and because their habits are
known, so is the probability of every vote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import fsum, inf
from numbers import Real
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from librehps.data.synthetic.annotators import CLUTTER, noise_of, vote_probability
from librehps.data.synthetic.faults import FAULT_AXES, FAULTS, Fault, fits, spoil
from librehps.data.synthetic.layout import MIN_SIDE, Layout, lay_out
from librehps.data.synthetic.mirror import shown_scene
from librehps.data.synthetic.render import render
from librehps.data.synthetic.scene import MAX_OBJECTS, SPLITS, Scene, Split, sample_scene, split_of
from librehps.data.synthetic.wording import describe
from librehps.errors import ConfigError
from librehps.registry import nearest

__all__ = ["AXES", "SyntheticPair", "SyntheticPicture", "World"]

#: What the annotators are asked about.
AXES = ("overall", *FAULT_AXES)

# Loss of quality at strength 1, on the axis that a fault hits and overall.
_COST = 5.0
# What a fault on each axis counts overall: people forgive a bad look sooner than a wrong picture.
_OVERALL = {"alignment": 1.0, "coherence": 0.9, "style": 0.7}
_FEWEST_VOTES, _MOST_VOTES = 5, 19
# How often what kinds of pairs come.
_KINDS: dict[str, float] = {"one": 0.6, "strengths": 0.15, "two": 0.2, "none": 0.05}
# How often each axis is hit: a wrong picture has the most ways to be wrong.
_AXIS_SHARES = {"alignment": 0.5, "coherence": 0.25, "style": 0.25}
_FULL_SHARE = 0.35

PairKind = Literal["one", "strengths", "two", "none"]


@dataclass(frozen=True)
class SyntheticPicture:
    """A picture before it is drawn, and what is wrong with it.

    Args:
        layout: What to draw.
        faults: What is wrong.
    """

    layout: Layout
    faults: tuple[Fault, ...]

    def quality(self, axis: str) -> float:
        """Return its quality on an axis of `AXES`: 0 without faults, and less with each."""
        lost = [
            _COST * fault.strength * (_OVERALL[fault.axis] if axis == "overall" else 1.0)
            for fault in self.faults
            if axis in ("overall", fault.axis)
        ]
        return 0.0 - fsum(lost)


@dataclass(frozen=True)
class SyntheticPair:
    """Two pictures of one prompt, what people said, and what they might have said.

    Args:
        key: ``<split>-<seed>-<number>``.
        prompt: What was asked for.
        scene: The same, before it was said.
        a: The first picture.
        b: The second picture.
        shared: Whether the two differ by their faults alone, or are also placed differently.
        votes: Votes for ``a`` on each axis.
        num_votes: How many votes there are on each.
        probabilities: The probability of a vote for ``a`` on each axis.
        noise: How many times as noisy as a picture of one object these are to look at.
    """

    key: str
    prompt: str
    scene: Scene
    a: SyntheticPicture
    b: SyntheticPicture
    shared: bool
    votes: Mapping[str, int]
    num_votes: int
    probabilities: Mapping[str, float]
    noise: float


@dataclass(frozen=True)
class World:
    """A source of pairs.

    Args:
        seed: Another seed gives other pairs; their splits stay what they are.
        side: Of the pictures, in pixels.
        held_out: Whether all scenes have a combination of shape and colour that is held out of
            training; the test split only.
        faintest: Strength of the faintest faults. Strong ones are easier to learn from.
        most_objects: How many objects a scene has at most; one is sooner learned than four. Where
            there is one too many, a mirror may ask for one more.
        placed: Whether scenes of one object say how it lies to the middle of the picture: where
            things are is sooner learned from one than from how two lie to each other.
        fault_shares: How often each kind of fault comes, in any unit, and none that is not named;
            scenes are then drawn to match it, so that a rare one can be practised. ``None`` draws
            the scene first, then an axis, then one of the faults that the scene can have.
        clutter: How many times as noisy each object beyond the first makes votes; 1 for the same
            noise everywhere. What to look for is sooner learned from votes that are sure.

    Raises:
        ConfigError: A negative seed, too small a side, a strength that is not in (0, 1], no
            object, clutter below 1, a share that is not above 0, shares whose sum is not finite, or
            relations where no scene says one (code ``world_value``); a fault that does not exist
            (``fault_value``); clutter that is too large for a float (``annotator_value``).
    """

    seed: int = 0
    side: int = 112
    held_out: bool = False
    faintest: float = 0.08
    most_objects: int = MAX_OBJECTS
    placed: bool = False
    fault_shares: Mapping[str, float] | None = None
    clutter: float = CLUTTER

    def __post_init__(self) -> None:
        possible = self.seed >= 0 and self.side >= MIN_SIDE and self.most_objects >= 1
        if not possible or not 0.0 < self.faintest <= 1.0 or not 1.0 <= self.clutter < inf:
            raise ConfigError(
                f"a seed is at least 0, a side at least {MIN_SIDE}, the faintest strength in "
                f"(0, 1], the most objects at least 1 and clutter at least 1: {self}",
                code="world_value",
            )
        # No pair is then refused for its noise after others have been written.
        noise_of(MAX_OBJECTS, clutter=self.clutter)
        self._check_shares()

    def _check_shares(self) -> None:
        if self.fault_shares is None:
            return
        kinds = {Fault(kind).kind for kind in self.fault_shares}
        shares = list(self.fault_shares.values())
        numbers = all(isinstance(share, Real) and share > 0.0 for share in shares)
        if not kinds or not numbers or not sum(shares) < inf:
            raise ConfigError(
                "shares of faults are numbers above 0 with a finite sum, and there is at least "
                f"one: {self.fault_shares}",
                code="world_value",
            )
        if "relation" in kinds:
            self._check_relation()

    def _check_relation(self) -> None:
        if self.most_objects < 2 and not self.placed:
            raise ConfigError(
                "a relation needs scenes of two objects, or of one that is placed",
                code="world_value",
            )

    def name(self, split: Split) -> str:
        """Return what the pairs of a split are called, in keys and file names.

        Raises:
            ConfigError: There is no such split (code ``world_value``).
        """
        _check_split(split)
        return f"{split}_held_out" if self.held_out else split

    def pairs(self, split: Split, count: int, *, start: int = 0) -> Iterator[SyntheticPair]:
        """Yield pairs ``start`` up to ``start + count`` of a split."""
        for number in range(start, start + count):
            yield self.pair(split, number)

    def pair(
        self,
        split: Split,
        number: int,
        *,
        fault: Fault | None = None,
        shared: bool | None = None,
    ) -> SyntheticPair:
        """Make one pair.

        Args:
            split: Whose scenes it is drawn from.
            number: Which one, from 0. It depends on none of the others.
            fault: What is wrong with one of the pictures, and nothing with the other; drawn along
                with the rest if ``None``.
            shared: See `SyntheticPair`; drawn along with the rest if ``None``.

        Raises:
            ConfigError: There is no such split, the number is negative, or no scene of this world
                can have that fault (code ``world_value``).
        """
        _check_split(split)
        if number < 0:
            raise ConfigError(f"pairs have numbers from 0, not {number}", code="world_value")
        if fault is not None and fault.kind == "relation":
            self._check_relation()
        rng = np.random.default_rng([self.seed, SPLITS.index(split), number])
        wanted = self._draw_kind(rng) if fault is None else fault.kind
        while True:
            scene = sample_scene(rng, split=split, held_out=self.held_out, placed=self.placed)
            few = scene.num_objects <= self.most_objects
            if few and (wanted is None or fits(wanted, scene)):
                break
        faults = self._draw_faults(scene, wanted, rng) if fault is None else ((fault,), ())
        if rng.random() < 0.5:
            faults = faults[::-1]
        together = bool(rng.random() < 0.5) if shared is None else shared
        layout = lay_out(scene, rng)
        layouts = (layout, layout if together else lay_out(scene, rng))
        a, b = (
            _picture(scene, plain, wrong, rng) for plain, wrong in zip(layouts, faults, strict=True)
        )
        return self._judged(
            key=f"{self.name(split)}-{self.seed}-{number}",
            scene=scene,
            a=a,
            b=b,
            shared=together,
            rng=rng,
        )

    def mirror(self, pair: SyntheticPair) -> SyntheticPair | None:
        """Return the pair that asks for what the wrong picture of a pair shows.

        Its pictures are the same. ``None`` if not exactly one picture has exactly one fault, of
        alignment; or if what it shows is a scene of another split.
        """
        faults = [*pair.a.faults, *pair.b.faults]
        if len(faults) != 1 or faults[0].axis != "alignment":
            return None
        (fault,) = faults
        wrong = pair.a if pair.a.faults else pair.b
        scene = shown_scene(pair.scene, wrong.layout, fault.kind)
        if scene is None or split_of(scene) != split_of(pair.scene):
            return None
        # Where the fault is half as strong, the picture is half way to what is asked for now.
        left = (Fault(fault.kind, 1.0 - fault.strength),) if fault.strength < 1.0 else ()
        whole = (Fault(fault.kind),)
        rng = np.random.default_rng([self.seed, *pair.key.encode()])
        return self._judged(
            key=f"{pair.key}-mirror",
            scene=scene,
            a=replace(pair.a, faults=left if pair.a is wrong else whole),
            b=replace(pair.b, faults=left if pair.b is wrong else whole),
            shared=pair.shared,
            rng=rng,
        )

    def draw(self, picture: SyntheticPicture) -> NDArray[np.uint8]:
        """Return the pixels of a picture, ``[side, side, 3]``, RGB."""
        return render(picture.layout, side=self.side)

    def _draw_kind(self, rng: np.random.Generator, scene: Scene | None = None) -> str | None:
        """Draw a fault that a scene can have, or any; ``None`` if that is up to the scene."""
        if self.fault_shares is not None:
            shares = {
                kind: share
                for kind, share in self.fault_shares.items()
                if scene is None or fits(kind, scene)
            }
            weights = np.array(list(shares.values()))
            return str(rng.choice(list(shares), p=weights / weights.sum()))
        if scene is None:
            return None
        axis = str(rng.choice(list(_AXIS_SHARES), p=list(_AXIS_SHARES.values())))
        kinds = [name for name, hit in FAULTS.items() if hit == axis and fits(name, scene)]
        return kinds[int(rng.integers(len(kinds)))]

    def _draw_faults(
        self, scene: Scene, wanted: str | None, rng: np.random.Generator
    ) -> tuple[tuple[Fault, ...], tuple[Fault, ...]]:
        """Draw what is wrong with either picture; ``wanted`` is wrong with the first."""

        def draw(kind: str | None) -> Fault:
            kind = kind or self._draw_kind(rng, scene)
            assert kind is not None  # a scene was given
            return Fault(kind, _draw_strength(self.faintest, rng))

        pair_kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
        if pair_kind == "none":
            return (), ()
        first = draw(wanted)
        if pair_kind == "one":
            return (first,), ()
        return (first,), (draw(first.kind if pair_kind == "strengths" else None),)

    def _judged(
        self,
        *,
        key: str,
        scene: Scene,
        a: SyntheticPicture,
        b: SyntheticPicture,
        shared: bool,
        rng: np.random.Generator,
    ) -> SyntheticPair:
        """Let the annotators vote."""
        num_votes = int(rng.integers(_FEWEST_VOTES, _MOST_VOTES + 1))
        probabilities = {
            axis: vote_probability(
                a.quality(axis) - b.quality(axis),
                num_objects=scene.num_objects,
                clutter=self.clutter,
            )
            for axis in AXES
        }
        return SyntheticPair(
            key=key,
            prompt=describe(scene, rng),
            scene=scene,
            a=a,
            b=b,
            shared=shared,
            votes={axis: int(rng.binomial(num_votes, p)) for axis, p in probabilities.items()},
            num_votes=num_votes,
            probabilities=probabilities,
            noise=noise_of(scene.num_objects, clutter=self.clutter),
        )


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ConfigError(
            f"there is no split {split!r:.100}{nearest(split, SPLITS)}", code="world_value"
        )


def _picture(
    scene: Scene, layout: Layout, faults: tuple[Fault, ...], rng: np.random.Generator
) -> SyntheticPicture:
    for fault in faults:
        layout = spoil(scene, layout, fault, rng)
    return SyntheticPicture(layout, faults)


def _draw_strength(faintest: float, rng: np.random.Generator) -> float:
    if rng.random() < _FULL_SHARE:
        return 1.0
    return float(rng.uniform(faintest, 1.0))
