"""Rescaled sigmas: the head's uncertainty is right up to one factor.

A head with sigma states probabilities by itself, and few pairs tell a factor less well than a head
that has seen very many may already have it. So the most likely factor is drawn towards 1, the more
the less the pairs can tell it from 1.
"""

from __future__ import annotations

import math
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
from librehps.calibration.newton import minimise
from librehps.calibration.normal import hazard, log_normal_tail, normal_tail
from librehps.calibration.pairs import Numbers, ScorePairs
from librehps.calibration.protocol import CALIBRATORS
from librehps.errors import InputError

__all__ = ["SigmaScale"]


@dataclass(frozen=True)
class SigmaScale(FittedCalibrator):
    """``P(a > b) = Phi((mean_a - mean_b) / (scale sqrt(sigma_a² + sigma_b²)))``; one parameter.

    The only fitted calibrator that reads the sigmas: two pairs with the same difference get
    different probabilities where the head is less sure of one. Antisymmetric as it stands.

    Args:
        scale: What every sigma is multiplied by, above 0; above 1 where the head was too sure.

    Raises:
        ConfigError: It is not a number (code ``calibration_number``) or not above 0
            (``calibration_not_monotone``).

    References:
        L. L. Thurstone, "A law of comparative judgment", 1927, case III, with all discriminal
        dispersions in one unknown unit; Efron and Morris, "Stein's estimation rule and its
        competitors: an empirical Bayes approach", 1973, for the prior; White, "Maximum likelihood
        estimation of misspecified models", 1982, for the standard error.
    """

    kind: ClassVar[str] = "sigma_scale"
    needs_sigma: ClassVar[bool] = True

    scale: float

    def __post_init__(self) -> None:
        demand_positive("scale", self.scale)

    @classmethod
    def fit(cls, pairs: ScorePairs) -> SigmaScale:
        """Fit a probit regression on difference over spread, and draw it towards a scale of 1.

        With the most likely scale ``k`` and the standard error ``e`` of its logarithm, the scale is
        ``k ** max(0, 1 - e² / log(k)²)``. That is the mean of the logarithm under a normal prior
        around 0 whose variance is what this one estimate suggests, ``log(k)² - e²`` or 0. So a
        logarithm of ``z`` standard errors loses ``1 / z²`` of itself: all below 1, a quarter at 2,
        4 % at 5. The error follows the scatter of votes around the fit: a share of many votes tells
        more than one vote does.

        Raises:
            InputError: There are no sigmas, or a pair's are both 0 (code
                ``calibration_sigma_missing``); see :mod:`librehps.calibration.evidence`.
        """
        if pairs.spread is None or not (pairs.spread > 0.0).all():
            raise InputError(
                "every pair needs sigmas above 0 to rescale; fit 'platt' or 'temperature' to "
                "scores without",
                code="calibration_sigma_missing",
            )
        demand_pairs(pairs, MIN_PAIRS)
        folded = pairs.folded()
        demand_differences(folded)
        demand_disagreement(pairs)
        slope, error = _probit_slope(
            folded.difference / pairs.spread, folded.target, folded.weight / folded.weight.sum()
        )
        demand_rising(slope)
        logarithm = math.log(slope)
        error /= slope
        kept = 1.0 - (error / logarithm) ** 2 if abs(logarithm) > error else 0.0
        return cls(scale=math.exp(-kept * logarithm))

    def tail(self, distance: Numbers, spread: Numbers | None) -> Numbers:
        """Return ``Phi(-distance / (scale spread))``; see the base class."""
        assert spread is not None
        # A spread of 0 makes a step, as it does without calibration; 0 / 0 is a tie to the caller.
        with np.errstate(divide="ignore", invalid="ignore"):
            return normal_tail(distance / spread / self.scale)

    def parameters(self) -> dict[str, Any]:
        """Return ``{"scale"}``."""
        return {"scale": self.scale}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> SigmaScale:
        """Build from :meth:`parameters`; see the base class."""
        (scale,) = read_keys(parameters, ("scale",))
        return cls(demand_positive("scale", scale))


# Called, not written above the class: as a decorator it would hide the class's own type.
CALIBRATORS.register(SigmaScale.kind)(SigmaScale)


def _probit_slope(ratio: Numbers, target: Numbers, share: Numbers) -> tuple[float, float]:
    """Return the slope ``k`` of ``P = Phi(k ratio)`` that is most likely; ratios not negative.

    Beside it its standard error, by the scatter of the slopes of the loss (a sandwich): it holds
    for shares of votes and for weights, too.
    """
    unit = float(ratio.max())
    scaled = ratio / unit

    def each(slope: float) -> tuple[Numbers, Numbers, Numbers]:
        z = slope * scaled
        # -log Phi(-z) has the slope h(z) and the curvature h(z) (h(z) - z), with the hazard h.
        lost, won = hazard(z), hazard(-z)
        loss = -target * log_normal_tail(-z) - (1.0 - target) * log_normal_tail(z)
        gradient = (1.0 - target) * lost - target * won
        curvature = (1.0 - target) * lost * (lost - z) + target * won * (won + z)
        return loss, gradient * scaled, curvature * np.square(scaled)

    def objective(slope: Numbers) -> tuple[float, Numbers, Numbers]:
        loss, gradient, curvature = (share @ values for values in each(slope[0]))
        return float(loss), np.array([gradient]), np.array([[curvature]])

    slope = float(minimise(objective, np.zeros(1))[0])
    _, gradient, curvature = each(slope)
    error = float(np.linalg.norm(share * gradient) / (share @ curvature))
    return slope / unit, error / unit
