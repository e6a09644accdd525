"""Beta calibration, made antisymmetric by averaging over the two orders of a pair."""

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
from librehps.calibration.fitted import MIN_PAIRS, FittedCalibrator, demand_number, read_keys
from librehps.calibration.newton import logistic_regression
from librehps.calibration.pairs import Numbers, ScorePairs
from librehps.calibration.protocol import CALIBRATORS
from librehps.errors import ConfigError

__all__ = ["Beta"]


@dataclass(frozen=True)
class Beta(FittedCalibrator):
    """Beta calibration of ``s = sigmoid(d)`` with ``d = mean_a - mean_b``; three parameters.

    With ``f(d) = a log s - b log(1 - s) + c`` it is ``(sigmoid(f(d)) + sigmoid(-f(-d))) / 2``: the
    mean over the two orders of a pair, as for :class:`~librehps.calibration.platt.Platt`. With
    ``a = b`` it is Platt's; otherwise it is steeper near a tie than far from it, or the reverse.
    Where it bends depends on the unit of the scores, log-odds. Sigmas are ignored.

    Args:
        a: Slope where ``a`` is far behind, per log-odds, not negative.
        b: Slope where ``a`` is far ahead, per log-odds, not negative; not both are 0.
        c: Intercept, in log-odds.

    Raises:
        ConfigError: A value that is no number (code ``calibration_number``); a negative slope, or
            both 0 (``calibration_not_monotone``).

    References:
        Kull, Silva Filho and Flach, "Beta calibration: a well-founded and easily implemented
        improvement on logistic calibration for binary classifiers", 2017, the three-parameter map;
        a negative slope is set to 0 and the others are fitted again, as there.
    """

    kind: ClassVar[str] = "beta"

    a: float
    b: float
    c: float = 0.0

    def __post_init__(self) -> None:
        for name in ("a", "b", "c"):
            demand_number(name, getattr(self, name))
        if self.a < 0.0 or self.b < 0.0 or self.a == self.b == 0.0:
            raise ConfigError(
                f"the slopes a and b are {self.a:g} and {self.b:g}; neither may be negative, and "
                "not both 0: otherwise what scores higher would be preferred less",
                code="calibration_not_monotone",
            )

    @classmethod
    def fit(cls, pairs: ScorePairs) -> Beta:
        """Fit the three parameters by maximum likelihood under the bounds of the slopes.

        Raises:
            InputError: See :mod:`librehps.calibration.evidence`.
        """
        demand_pairs(pairs, MIN_PAIRS)
        demand_differences(pairs)
        demand_both_sides(pairs)
        demand_overlap(pairs)
        behind = -np.logaddexp(0.0, -pairs.difference)
        ahead = np.logaddexp(0.0, pairs.difference)
        slopes = {"a": behind, "b": ahead}
        # The likelihood is concave: a slope that comes out negative is 0 under the bound.
        while True:
            features = np.stack([*slopes.values(), np.ones(len(pairs))], axis=1)
            found = logistic_regression(features, pairs.target, pairs.weight).tolist()
            named = dict(zip([*slopes, "c"], found, strict=True))
            least = min(slopes, key=lambda name: named[name])
            if named[least] >= 0.0:
                break
            if len(slopes) == 1:
                demand_rising(named[least])
            del slopes[least]
        demand_rising(max(named[name] for name in slopes))
        return cls(a=named.get("a", 0.0), b=named.get("b", 0.0), c=named["c"])

    def tail(self, distance: Numbers, spread: Numbers | None) -> Numbers:
        """Return the mean of ``sigmoid(f(-distance))`` and ``sigmoid(-f(distance))``."""
        far, near = np.logaddexp(0.0, distance), np.logaddexp(0.0, -distance)
        seen_first = self.a * far - self.b * near - self.c
        seen_second = self.b * far - self.a * near + self.c
        first, second = np.logaddexp(0.0, seen_first), np.logaddexp(0.0, seen_second)
        return 0.5 * (np.exp(-first) + np.exp(-second))

    def parameters(self) -> dict[str, Any]:
        """Return ``{"a", "b", "c"}``."""
        return {"a": self.a, "b": self.b, "c": self.c}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Beta:
        """Build from :meth:`parameters`; see the base class."""
        values = read_keys(parameters, ("a", "b", "c"))
        return cls(*(demand_number(*pair) for pair in zip("abc", values, strict=True)))


# Called, not written above the class: as a decorator it would hide the class's own type.
CALIBRATORS.register(Beta.kind)(Beta)
