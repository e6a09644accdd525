"""How a scene is said: several wordings for every meaning, and words that mean nothing."""

from __future__ import annotations

import numpy as np

from librehps.data.synthetic.scene import Group, Look, Scene

__all__ = ["describe"]

_NUMBERS = {2: ("two", "2", "a pair of"), 3: ("three", "3"), 4: ("four", "4")}
_SIZES = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
_RELATIONS = {
    "left of": ("to the left of", "left of", "on the left side of"),
    "right of": ("to the right of", "right of", "on the right side of"),
    "above": ("above", "over", "higher than"),
    "below": ("below", "under", "lower than"),
}
_BEFORE = ("", "", "", "a picture of ", "an image of ", "a drawing showing ", "there is ")
_AFTER = (
    "",
    "",
    "",
    ", high quality",
    ", simple shapes",
    ", clean drawing",
    " on a light background",
)


def describe(scene: Scene, rng: np.random.Generator) -> str:
    """Return a prompt in plain English and ASCII that says all of a scene but how it is placed.

    Args:
        scene: What to say.
        rng: Source of randomness; chooses among wordings that mean the same.
    """
    phrases = [_phrase(group, rng) for group in scene.groups]
    if scene.relation is not None:
        other = phrases[1] if len(phrases) > 1 else "the middle"
        text = f"{phrases[0]} {_pick(_RELATIONS[scene.relation], rng)} {other}"
    else:
        order = [phrases[int(place)] for place in rng.permutation(len(phrases))]
        text = " and ".join([", ".join(order[:-1]), order[-1]] if len(order) > 1 else order)
    before = _pick(_BEFORE, rng)
    if before == "there is " and not text.startswith(("a ", "an ")):
        before = "there are "
    return before + text + _pick(_AFTER, rng)


def _phrase(group: Group, rng: np.random.Generator) -> str:
    """Return "an orange star" or "three small striped red crosses"."""
    if group.count == 1:
        words = _looks(group.look, rng, plural=False)
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
    return f"{_pick(_NUMBERS[group.count], rng)} {_looks(group.look, rng, plural=True)}"


def _looks(look: Look, rng: np.random.Generator, *, plural: bool) -> str:
    size = [_pick(_SIZES[look.size], rng)] if look.size in _SIZES else []
    texture = [look.texture] if look.texture != "plain" else []
    noun = look.shape
    if plural:
        noun += "es" if noun.endswith(("s", "x")) else "s"
    # "small red striped star" and "small striped red star" are both said.
    middle = [look.colour, *texture] if rng.random() < 0.5 else [*texture, look.colour]
    return " ".join([*size, *middle, noun])


def _pick(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
