"""What scoring hands back: scores, comparisons and rankings. Plain frozen values, no torch.

Every number is finite by construction and every result turns into JSON with ``to_dict()``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from librehps.errors import ConfigError, InputError

Winner = Literal["a", "b", "tie"]
AXIS_FIELDS = ("overall", "alignment", "coherence", "style", "temporal")


@dataclass(frozen=True)
class AxisScore:
    """The score of one image on one axis, in log-odds: only differences carry meaning.

    Args:
        mean: Expected score. Higher is better; comparable between images of the same prompt.
        sigma: Standard deviation of the score, in the same unit; ``None`` when the head has none.

    Raises:
        InputError: A number is not finite or ``sigma`` is negative (code ``score_not_finite``).
    """

    mean: float
    sigma: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean):
            raise InputError(f"the mean came out as {self.mean}", code="score_not_finite")
        if self.sigma is not None and not (math.isfinite(self.sigma) and self.sigma >= 0):
            raise InputError(
                f"sigma came out as {self.sigma}; it must be finite and not negative",
                code="score_not_finite",
            )

    def to_dict(self) -> dict[str, float | None]:
        """Return ``{"mean", "sigma"}``."""
        return {"mean": self.mean, "sigma": self.sigma}


@dataclass(frozen=True)
class Score:
    """One image, or one video, judged against its prompt.

    An axis that the checkpoint does not score is ``None``; ``temporal`` is ``None`` for images.

    Args:
        overall: Would a person prefer it, all things considered.
        alignment: Does it show what the prompt asks for.
        coherence: Is it free of broken shapes and impossible parts.
        style: Does it look good.
        temporal: Does it move well (video only).
        notes: What happened to the input on the way, such as ``"first of 12 frames"``.
        trained: False when the checkpoint says that it was never trained: the numbers mean nothing.
    """

    overall: AxisScore | None = None
    alignment: AxisScore | None = None
    coherence: AxisScore | None = None
    style: AxisScore | None = None
    temporal: AxisScore | None = None
    notes: tuple[str, ...] = ()
    trained: bool = True

    @property
    def axes(self) -> dict[str, AxisScore]:
        """The axes that were scored, by name."""
        every = (self.overall, self.alignment, self.coherence, self.style, self.temporal)
        named = zip(AXIS_FIELDS, every, strict=True)
        return {name: score for name, score in named if score is not None}

    def axis(self, name: str) -> AxisScore:
        """Return the score on the axis called ``name``.

        Raises:
            ConfigError: That axis was not scored (code ``axis_missing``); lists those that were.
        """
        if name not in self.axes:
            scored = ", ".join(self.axes) or "none"
            raise ConfigError(
                f"no axis {name!r} in this score; scored: {scored}", code="axis_missing"
            )
        return self.axes[name]

    def to_dict(self) -> dict[str, Any]:
        """Return the five axes (``None`` where not scored), the notes and ``trained``."""
        scored = {name: score.to_dict() for name, score in self.axes.items()}
        return {
            **{name: scored.get(name) for name in AXIS_FIELDS},
            "notes": list(self.notes),
            "trained": self.trained,
        }


@dataclass(frozen=True)
class Comparison:
    """Which of two images a person would prefer, and how surely.

    ``winner`` and ``probability`` follow from ``probability_a``, so they cannot disagree with it.

    Args:
        probability_a: Probability that ``a`` is preferred, in [0, 1].
        score_a: The score of ``a``.
        score_b: The score of ``b``.
        axis: The axis that was compared.

    Raises:
        InputError: ``probability_a`` is not a probability (code ``probability_range``).
    """

    probability_a: float
    score_a: Score
    score_b: Score
    axis: str = "overall"

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability_a <= 1.0:
            raise InputError(
                f"{self.probability_a} is not a probability: it must lie in [0, 1]",
                code="probability_range",
            )

    @property
    def winner(self) -> Winner:
        """``"a"``, ``"b"``, or ``"tie"`` when the probability is one half exactly."""
        if self.probability_a == 0.5:
            return "tie"
        return "a" if self.probability_a > 0.5 else "b"

    @property
    def probability(self) -> float:
        """Probability that the winner is preferred, at least 0.5."""
        return max(self.probability_a, 1.0 - self.probability_a)

    def to_dict(self) -> dict[str, Any]:
        """Return the winner, both probabilities, the axis and both scores."""
        return {
            "winner": self.winner,
            "probability": self.probability,
            "probability_a": self.probability_a,
            "axis": self.axis,
            "score_a": self.score_a.to_dict(),
            "score_b": self.score_b.to_dict(),
        }


@dataclass(frozen=True)
class RankedImage:
    """A place in a ranking.

    Args:
        index: Where the image stood in the input, from 0.
        score: Its score.
    """

    index: int
    score: Score

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"index", "score"}``."""
        return {"index": self.index, "score": self.score.to_dict()}


@dataclass(frozen=True)
class Ranking:
    """Images of one prompt, best first. Iterating and indexing give the places in that order.

    Args:
        entries: The places, best first.
        axis: The axis that decided.
    """

    entries: tuple[RankedImage, ...]
    axis: str = "overall"

    @classmethod
    def of(cls, scores: Sequence[Score], *, axis: str = "overall") -> Ranking:
        """Rank ``scores`` by the mean on ``axis``; equal means keep the order of the input.

        Raises:
            ConfigError: A score lacks the axis (code ``axis_missing``).
        """
        places = [RankedImage(index=index, score=score) for index, score in enumerate(scores)]
        # sorted() is stable, which is what keeps ties in the order of the input.
        return cls(tuple(sorted(places, key=lambda place: -place.score.axis(axis).mean)), axis)

    @property
    def order(self) -> list[int]:
        """Input indices, best first."""
        return [entry.index for entry in self.entries]

    @property
    def best(self) -> RankedImage:
        """The first place.

        Raises:
            InputError: The ranking is empty (code ``ranking_empty``).
        """
        if not self.entries:
            raise InputError("nothing was ranked, so nothing is best", code="ranking_empty")
        return self.entries[0]

    def __iter__(self) -> Iterator[RankedImage]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, place: int) -> RankedImage:
        return self.entries[place]

    def to_dict(self) -> dict[str, Any]:
        """Return the axis and the places, best first."""
        return {"axis": self.axis, "entries": [entry.to_dict() for entry in self.entries]}
