"""What people said about pictures: comparisons, rankings and ratings, whatever file they came from.

A record names image files and does not hold them. Making one checks it, so that whatever reads
records further on need not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from pathlib import Path

from librehps.errors import InputError
from librehps.heads.protocol import AXES
from librehps.registry import nearest

__all__ = ["Comparison", "Ranking", "Rating"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two images of one prompt, and how far the first is preferred.

    Args:
        prompt: What the images should show.
        image_a: File of the first image.
        image_b: File of the second image.
        target: Share of votes for ``a`` overall, in [0, 1]; 0.5 is a tie.
        axis_targets: The same for single axes, by their names in ``AXES``, where people were asked.
        votes: How many votes the target stands for, where that is known.
        confidence: How sure the annotators are taken to be, not negative; ``None`` where unknown.
        key: What identifies the comparison in its data set.
        model_a: Which generator made ``a``.
        model_b: Which generator made ``b``.

    Raises:
        InputError: A number out of range, or an unknown axis (code ``record_value``), or an empty
            prompt (``record_prompt``); ``item`` is the key.
    """

    prompt: str
    image_a: Path
    image_b: Path
    target: float
    axis_targets: Mapping[str, float] = field(default_factory=dict[str, float])
    votes: int | None = None
    confidence: float | None = None
    key: str = ""
    model_a: str | None = None
    model_b: str | None = None

    def __post_init__(self) -> None:
        _check_prompt(self.prompt, self.key)
        _check_axes(self.axis_targets, self.key)
        for name, value in (("target", self.target), *self.axis_targets.items()):
            _check(name, value, 0.0 <= _finite(value) <= 1.0, "a number from 0 to 1", self.key)
        if self.votes is not None:
            _check(
                "votes", self.votes, _finite(self.votes) >= 1, "a number of at least 1", self.key
            )
        if self.confidence is not None:
            _check(
                "confidence",
                self.confidence,
                _finite(self.confidence) >= 0,
                "a number >= 0",
                self.key,
            )

    def swapped(self) -> Comparison:
        """Return the same comparison with ``a`` and ``b`` the other way round."""
        return replace(
            self,
            image_a=self.image_b,
            image_b=self.image_a,
            target=1.0 - self.target,
            axis_targets={name: 1.0 - value for name, value in self.axis_targets.items()},
            model_a=self.model_b,
            model_b=self.model_a,
        )


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Several images of one prompt in order.

    Args:
        prompt: What the images should show.
        images: Their files.
        ranks: Rank of each, the smallest the best; equal ranks are ties.
        key: What identifies the ranking in its data set.
        models: Which generator made each, where that is known.

    Raises:
        InputError: Fewer than two images, or lists of different lengths (code ``record_value``),
            or an empty prompt (``record_prompt``).
    """

    prompt: str
    images: tuple[Path, ...]
    ranks: tuple[float, ...]
    key: str = ""
    models: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _check_prompt(self.prompt, self.key)
        _check("images", len(self.images), len(self.images) >= 2, "at least 2", self.key)
        for name, items in (("ranks", self.ranks), ("models", self.models)):
            if items is not None:
                same = len(items) == len(self.images)
                _check(name, len(items), same, f"one for each of {len(self.images)}", self.key)
        for rank in self.ranks:
            _check("ranks", rank, not math.isnan(_finite(rank)), "a finite number", self.key)

    def comparisons(self) -> list[Comparison]:
        """Return every pair of the ranking as a comparison with a target of 0, 0.5 or 1."""
        count = range(len(self.images))
        return [
            Comparison(
                prompt=self.prompt,
                image_a=self.images[a],
                image_b=self.images[b],
                target=0.5
                + 0.5 * ((self.ranks[a] < self.ranks[b]) - (self.ranks[a] > self.ranks[b])),
                key=f"{self.key}#{a}-{b}",
                model_a=None if self.models is None else self.models[a],
                model_b=None if self.models is None else self.models[b],
            )
            for a in count
            for b in count
            if a < b
        ]


@dataclass(frozen=True, kw_only=True)
class Rating:
    """One image and a mark for it.

    Args:
        prompt: What the image should show.
        image: Its file.
        value: The mark, such as a mean opinion score, in the data set's unit.
        axis: What was marked.
        key: What identifies the rating in its data set.
        model: Which generator made the image.

    Raises:
        InputError: A mark that is not finite (code ``record_value``) or an empty prompt
            (``record_prompt``).
    """

    prompt: str
    image: Path
    value: float
    axis: str = "overall"
    key: str = ""
    model: str | None = None

    def __post_init__(self) -> None:
        _check_prompt(self.prompt, self.key)
        _check(
            "value", self.value, not math.isnan(_finite(self.value)), "a finite number", self.key
        )


def _check_prompt(prompt: object, key: str) -> None:
    if not isinstance(prompt, str):
        raise InputError(
            f"the prompt is {prompt!r:.100}, not a text", code="record_prompt", item=key or None
        )
    if not prompt.strip():
        raise InputError("the prompt is empty", code="record_prompt", item=key or None)
    if not prompt.isascii() and any("\ud800" <= letter <= "\udfff" for letter in prompt):
        raise InputError(
            "the prompt holds half of a surrogate pair, which is no text",
            code="record_prompt",
            item=key or None,
        )


def _check_axes(targets: Mapping[str, object], key: str) -> None:
    for name in targets:
        if name not in AXES:
            # Taken as it is, a name that is misspelt would never be learnt from, and nobody told.
            raise InputError(
                f"axis_targets names {name!r:.100}{nearest(name, AXES)}",
                code="record_value",
                item=key or None,
            )


def _finite(value: object) -> float:
    """Return a number as a float, and NaN for what is none: it is in no range."""
    try:
        number = float(value) if isinstance(value, Real) else math.nan
    except OverflowError:
        # A whole number may be larger than any float.
        return math.nan
    return number if math.isfinite(number) else math.nan


def _check(name: str, value: object, good: bool, wanted: str, key: str) -> None:
    if not good:
        raise InputError(
            f"{name} is {value!r:.100}, and must be {wanted}", code="record_value", item=key or None
        )
