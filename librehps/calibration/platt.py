"""Platt scaling, made antisymmetric by averaging over the two orders of a pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from librehps.calibration.evidence import (
    demand_both_sides,
    demand_differences,
    demand_overlap,
    demand_pairs,
    demand_rising,
)
from librehps.calibration.fitted import (
    MIN_PAIRS,
    FittedCalibrator,
    demand_number,
    demand_positive,
    read_keys,
)
from librehps.calibration.newton import logistic_regression
from librehps.calibration.pairs import Numbers, ScorePairs
from librehps.calibration.protocol import CALIBRATORS

__all__ = ["Platt"]


@dataclass(frozen=True)
class Platt(FittedCalibrator):
    """``P(a > b) = (sigmoid(a d + b) + sigmoid(a d - b)) / 2`` with ``d = mean_a - mean_b``.

    The fit is ``sigmoid(a d + b)``, where ``b`` is how much people favour what they are shown
    first. Whoever asks for a probability shows nothing in an order, so it is the mean over both
    orders that is returned. Where people have no such habit ``b`` is near 0 and this is
    :class:`~librehps.calibration.temperature.Temperature`. Sigmas are ignored.

    Pairs must stand in the order in which people saw them, or in a random one: see
    :meth:`~librehps.calibration.pairs.ScorePairs.with_random_sides`.

    Args:
        a: Slope, per log-odds, above 0.
        b: Intercept, in log-odds: the favour for the first item.

    Raises:
        ConfigError: A value that is no number (code ``calibration_number``), or a slope that is not
            above 0 (``calibration_not_monotone``).

    References:
        Platt, "Probabilistic outputs for support vector machines", 1999, where ``a`` and ``b`` have
        the opposite sign. His smoothed targets are not used: shares of votes are
        already softer than counts of winners, and a fit that would need them is refused.
    """

    kind: ClassVar[str] = "platt"

    a: float
    b: float = 0.0

    def __post_init__(self) -> None:
        demand_positive("a", self.a)
        demand_number("b", self.b)

    @classmethod
    def fit(cls, pairs: ScorePairs) -> Platt:
        """Fit both parameters by maximum likelihood.

        Raises:
            InputError: See :mod:`librehps.calibration.evidence`.
        """
        demand_pairs(pairs, MIN_PAIRS)
        demand_differences(pairs)
        demand_both_sides(pairs)
        demand_overlap(pairs)
        features = np.stack([pairs.difference, np.ones(len(pairs))], axis=1)
        slope, intercept = logistic_regression(features, pairs.target, pairs.weight).tolist()
        demand_rising(slope)
        return cls(a=slope, b=intercept)

    def tail(self, distance: Numbers, spread: Numbers | None) -> Numbers:
        """Return the mean of ``sigmoid(-a distance ± b)``; see the base class."""
        ahead = self.a * distance
        first, second = np.logaddexp(0.0, ahead - self.b), np.logaddexp(0.0, ahead + self.b)
        return 0.5 * (np.exp(-first) + np.exp(-second))

    def parameters(self) -> dict[str, Any]:
        """Return ``{"a", "b"}``."""
        return {"a": self.a, "b": self.b}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Platt:
        """Build from :meth:`parameters`; see the base class."""
        slope, intercept = read_keys(parameters, ("a", "b"))
        return cls(a=demand_positive("a", slope), b=demand_number("b", intercept))


# Called, not written above the class: as a decorator it would hide the class's own type.
CALIBRATORS.register(Platt.kind)(Platt)
