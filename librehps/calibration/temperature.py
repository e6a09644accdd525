"""Temperature scaling: the scores are log-odds in an unknown unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from librehps.calibration.evidence import (
    demand_differences,
    demand_disagreement,
    demand_pairs,
    demand_rising,
)
from librehps.calibration.fitted import MIN_PAIRS, FittedCalibrator, demand_positive, read_keys
from librehps.calibration.newton import logistic_regression
from librehps.calibration.pairs import Numbers, ScorePairs
from librehps.calibration.protocol import CALIBRATORS

__all__ = ["Temperature"]


@dataclass(frozen=True)
class Temperature(FittedCalibrator):
    """``P(a > b) = sigmoid((mean_a - mean_b) / temperature)``; one parameter.

    Antisymmetric as it stands, so it does not matter to the fit which item of a pair comes first.
    Sigmas are ignored.

    Args:
        temperature: In log-odds, above 0; above 1 where the scores were too sure.

    Raises:
        ConfigError: It is not a number (code ``calibration_number``) or not above 0
            (``calibration_not_monotone``).

    References:
        Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017,
        equation 9, for two classes with the logits ``mean_a`` and ``mean_b``.
    """

    kind: ClassVar[str] = "temperature"

    temperature: float

    def __post_init__(self) -> None:
        demand_positive("temperature", self.temperature)

    @classmethod
    def fit(cls, pairs: ScorePairs) -> Temperature:
        """Fit by maximum likelihood.

        Raises:
            InputError: See :mod:`librehps.calibration.evidence`.
        """
        demand_pairs(pairs, MIN_PAIRS)
        demand_differences(pairs.folded())
        demand_disagreement(pairs)
        features = pairs.difference[:, None]
        slope = float(logistic_regression(features, pairs.target, pairs.weight)[0])
        demand_rising(slope)
        return cls(temperature=1.0 / slope)

    def tail(self, distance: Numbers, spread: Numbers | None) -> Numbers:
        """Return ``sigmoid(-distance / temperature)``; see the base class."""
        return np.exp(-np.logaddexp(0.0, distance / self.temperature))

    def parameters(self) -> dict[str, Any]:
        """Return ``{"temperature"}``."""
        return {"temperature": self.temperature}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Temperature:
        """Build from :meth:`parameters`; see the base class."""
        (temperature,) = read_keys(parameters, ("temperature",))
        return cls(demand_positive("temperature", temperature))


# Called, not written above the class: as a decorator it would hide the class's own type.
CALIBRATORS.register(Temperature.kind)(Temperature)
