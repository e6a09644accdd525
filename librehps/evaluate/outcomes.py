"""What a comparison of two pictures of one prompt counts for either, and under which name.

As with tie rules, a ranking means nothing without it: the rule stands beside every number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from librehps.calibration import (
    Calibration,
    Calibrator,
    FittedCalibrator,
    preference_probability,
)
from librehps.registry import Registry
from librehps.results import AxisScore

__all__ = ["OUTCOMES", "Outcome", "make_outcome"]


class Outcome(ABC):
    """Says what share of a comparison the first picture wins.

    To add one, subclass it and register it under its ``name``.

    Args:
        calibrator: Turns two scores into a probability; ``None`` for what the scores state by
            themselves.
    """

    name: ClassVar[str]
    #: One line that stands beside every number.
    definition: ClassVar[str]

    def __init__(self, calibrator: Calibrator | None = None) -> None:
        self.calibrator = calibrator

    @abstractmethod
    def share(self, score_a: AxisScore, score_b: AxisScore) -> float:
        """Return what ``a`` wins, in [0, 1]; ``b`` wins the rest, and 0.5 is a tie."""

    def to_dict(self) -> dict[str, Any]:
        """Return its name, its definition, and the calibrator or ``None``, as JSON data."""
        judge = self.calibrator
        if isinstance(judge, Calibration):
            judge = judge.default
        found: dict[str, Any] | None = None
        if isinstance(judge, FittedCalibrator):
            found = {"kind": judge.kind, "parameters": judge.parameters()}
        elif judge is not None:
            found = {"kind": type(judge).__name__}
        return {"name": self.name, "definition": self.definition, "calibrator": found}


OUTCOMES: Registry[type[Outcome]] = Registry("rule of comparison")


def make_outcome(name: str, calibrator: Calibrator | None = None) -> Outcome:
    """Return the rule called ``name``.

    Raises:
        ConfigError: There is none of that name (code ``name_unknown``).
    """
    return OUTCOMES[name](calibrator)


@OUTCOMES.register("probability")
class Probability(Outcome):
    """A comparison is shared by the probability that a person prefers each.

    A hair's breadth is then worth about half a win and not a whole one, so that a generator that
    is a little better on every prompt does not beat the others without bound.
    """

    name = "probability"
    definition = (
        "each wins the probability that a person prefers it, by the scorer; equal scores are half "
        "a win for each"
    )

    def share(self, score_a: AxisScore, score_b: AxisScore) -> float:
        """See the base class."""
        return preference_probability(score_a, score_b, calibrator=self.calibrator)


@OUTCOMES.register("higher")
class Higher(Outcome):
    """The higher score wins the whole comparison; sigmas and calibrators have no say."""

    name = "higher"
    definition = "the higher score wins; equal scores are half a win for each"

    def __init__(self, calibrator: Calibrator | None = None) -> None:
        super().__init__(None)

    def share(self, score_a: AxisScore, score_b: AxisScore) -> float:
        """See the base class."""
        if score_a.mean == score_b.mean:
            return 0.5
        return 1.0 if score_a.mean > score_b.mean else 0.0
