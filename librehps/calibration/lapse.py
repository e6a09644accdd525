"""A logistic curve with lapses: some votes have nothing to do with what is judged."""

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
from librehps.calibration.fitted import (
    FittedCalibrator,
    demand_number,
    demand_positive,
    read_keys,
)
from librehps.calibration.newton import logistic_regression, minimise
from librehps.calibration.pairs import Numbers, ScorePairs
from librehps.calibration.protocol import CALIBRATORS
from librehps.errors import ConfigError, InputError

__all__ = ["Lapse"]

#: Fewest pairs that a fit takes: of fewer, those that happen to be far apart decide alone.
MIN_PAIRS = 100
# Slopes that are tried, as multiples of the one that fits best without lapses, beside which a curve
# that levels off is steeper.
_STEEPEST = 1e6
_NUM_SLOPES = 61
# How many means of neighbours stand for all pairs while slopes are tried.
_COARSE = 500
# Where the best lapses at one slope are looked for: Newton's steps at most, and how near is enough
# to begin the search for both.
_MAX_STEPS = 60
_NEAR = 1e-8
# Losses are sums of numbers of the order of 1.
_ROUNDING = 1e-12
# Beyond so many log-odds a logistic curve stands still; its square is still a double.
_LEVEL = 300.0


@dataclass(frozen=True)
class Lapse(FittedCalibrator):
    """``P(a > b) = lapse / 2 + (1 - lapse) sigmoid(slope d)`` with ``d = mean_a - mean_b``.

    A share of the votes is cast without looking: by a slip of the hand, out of tiredness, or by
    chance. However far apart two items are, such votes are split, so agreement does not rise to 1
    but to ``1 - lapse / 2``. :class:`~librehps.calibration.platt.Platt` knows nothing of them: it
    bends where it should level off, states too little in the middle and too much at the end.
    Antisymmetric as it stands, so it does not matter to the fit which item of a pair comes first.
    Sigmas are ignored.

    Args:
        slope: Per log-odds, above 0.
        lapse: Share of the votes that are split evenly, in [0, 1); 0 is
            :class:`~librehps.calibration.temperature.Temperature`.

    Raises:
        ConfigError: A value that is no number or a share outside of [0, 1) (code
            ``calibration_number``), or a slope that is not above 0 (``calibration_not_monotone``).

    References:
        Wichmann and Hill, "The psychometric function: I. Fitting, sampling, and goodness of fit",
        2001, equation 1, with both asymptotes at the same distance from 1/2.
    """

    kind: ClassVar[str] = "lapse"

    slope: float
    lapse: float = 0.0

    def __post_init__(self) -> None:
        demand_positive("slope", self.slope)
        if not 0.0 <= demand_number("lapse", self.lapse) < 1.0:
            raise ConfigError(
                f"lapse is {self.lapse:g}; a share of votes lies in [0, 1)",
                code="calibration_number",
            )

    @classmethod
    def fit(cls, pairs: ScorePairs) -> Lapse:
        """Fit both parameters by maximum likelihood.

        The likelihood is concave in the share of lapses and not in the slope, so the best share is
        found at slopes from flat to steep, and Newton's method goes on from the best of them.

        Raises:
            InputError: See :mod:`librehps.calibration.evidence`; or agreement does not grow with
                the distance, so that no slope is steep enough (code
                ``calibration_no_convergence``).
        """
        demand_pairs(pairs, MIN_PAIRS)
        folded = pairs.folded()
        # Equal scores say nothing, so one distance beside them is one distance.
        demand_differences(folded.take(folded.difference > 0.0))
        demand_disagreement(pairs)
        features = pairs.difference[:, None]
        flattest = float(logistic_regression(features, pairs.target, pairs.weight)[0])
        demand_rising(flattest)
        curve = _Curve.of(folded, unit=flattest)
        coarse = curve.coarse()
        steps = np.geomspace(1.0, _STEEPEST, _NUM_SLOPES).tolist()
        losses = [coarse.best_lapse(step)[1] for step in steps]
        best = int(np.argmin(losses))
        if losses[-1] <= losses[best] + _ROUNDING:
            raise InputError(
                "people agree no more about pairs that are far apart than about close ones, so no "
                "slope is steep enough: fit 'isotonic', or check that these are the scores of what "
                "was judged",
                code="calibration_no_convergence",
            )
        # On all pairs now. Without lapses no slope is better than the flattest, and if it is the
        # better of the two, Newton's steps would only run into that border.
        starts = [(*curve.best_lapse(step), step) for step in (1.0, steps[best])]
        half, _, step = min(starts, key=lambda start: start[1])
        if half == 0.0:
            return cls(slope=flattest)
        logarithm, half = minimise(curve, np.array([np.log(step), half])).tolist()
        # The last step is not looked at, and may end beyond the border that it leads to.
        if half <= 0.0:
            return cls(slope=flattest)
        return cls(slope=flattest * float(np.exp(logarithm)), lapse=2.0 * half)

    def tail(self, distance: Numbers, spread: Numbers | None) -> Numbers:
        """Return ``lapse / 2 + (1 - lapse) sigmoid(-slope distance)``; see the base class."""
        behind = np.exp(-np.logaddexp(0.0, self.slope * distance))
        return 0.5 * self.lapse + (1.0 - self.lapse) * behind

    def parameters(self) -> dict[str, Any]:
        """Return ``{"slope", "lapse"}``."""
        return {"slope": self.slope, "lapse": self.lapse}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Lapse:
        """Build from :meth:`parameters`; see the base class."""
        slope, lapse = read_keys(parameters, ("slope", "lapse"))
        return cls(slope=demand_positive("slope", slope), lapse=demand_number("lapse", lapse))


class _Curve:
    """The mean loss of pairs of which the first is ahead, and its derivatives.

    The chance of a vote for the one behind is ``q = h + (1 - 2 h) sigmoid(-x e^u)`` with half the
    share of lapses ``h``, the logarithm ``u`` of the slope in units of ``unit``, and distances
    ``x`` in the same unit.
    """

    def __init__(self, distance: Numbers, ahead: Numbers, weight: Numbers) -> None:
        self._distance = distance
        self._ahead = ahead
        self._behind = 1.0 - ahead
        self._share = weight / weight.sum()

    @classmethod
    def of(cls, folded: ScorePairs, *, unit: float) -> _Curve:
        """Return the curve of all pairs that have a weight."""
        # Of those that count for something beside the others.
        counted = folded.take(folded.weight / folded.weight.sum() > 0.0)
        with np.errstate(over="ignore"):
            distance = np.minimum(counted.difference * unit, _LEVEL)
        return cls(distance, counted.target, counted.weight)

    def coarse(self) -> _Curve:
        """Return nearly the same with few pairs: means of neighbours, to search in no time."""
        order = np.argsort(self._distance, kind="stable")
        starts = np.unique(np.linspace(0, len(order), _COARSE, endpoint=False).astype(np.intp))

        def sums(values: Numbers) -> Numbers:
            return np.add.reduceat(values[order], starts)

        weight = sums(self._share)
        distance = sums(self._share * self._distance) / weight
        return _Curve(distance, np.minimum(sums(self._share * self._ahead) / weight, 1.0), weight)

    def best_lapse(self, step: float) -> tuple[float, float]:
        """Return half the share of lapses that fits best at a slope of so many units, and its loss.

        At one slope the loss is convex: Newton's steps, and halves of what is left where they lead
        out of it.
        """
        logistic = self._logistic(step)
        if self._slopes(logistic, 0.0)[0] >= 0.0:
            return 0.0, self._loss(logistic, 0.0)
        low, high, half = 0.0, 0.5, 0.05
        for _ in range(_MAX_STEPS):
            rise, bend = self._slopes(logistic, half)
            low, high = (half, high) if rise < 0.0 else (low, half)
            change = -rise / bend if bend > 0.0 else np.inf
            following = half + change if low < half + change < high else 0.5 * (low + high)
            if abs(following - half) < _NEAR:
                break
            half = following
        return half, self._loss(logistic, half)

    def __call__(self, parameters: Numbers) -> tuple[float, Numbers, Numbers]:
        """Return loss, gradient and curvature at ``[u, h]``; see ``newton.Objective``.

        Where the Hessian is no curvature of a bowl, the Fisher information stands for it.
        """
        logarithm, half = parameters.tolist()
        if not 0.0 < half < 0.5:
            return np.inf, np.zeros(2), np.eye(2)
        step = float(np.exp(logarithm))
        logistic = self._logistic(step)
        z = np.minimum(step * self._distance, _LEVEL)
        chance = half + (1.0 - 2.0 * half) * logistic
        # First and second derivatives of the chance by u and h; by h alone it has none.
        fall = logistic * (1.0 - logistic) * z
        by_both = np.stack([-(1.0 - 2.0 * half) * fall, 1.0 - 2.0 * logistic])
        twice = (1.0 - 2.0 * half) * fall * ((1.0 - 2.0 * logistic) * z - 1.0)
        first = self._ahead / (1.0 - chance) - self._behind / chance
        second = self._ahead / (1.0 - chance) ** 2 + self._behind / chance**2
        gradient = by_both @ (self._share * first)
        hessian = (by_both * (self._share * second)) @ by_both.T
        hessian[0, 0] += self._share @ (first * twice)
        hessian[0, 1] += self._share @ (first * 2.0 * fall)
        hessian[1, 0] = hessian[0, 1]
        if not (np.linalg.eigvalsh(hessian) > 0.0).all():
            hessian = (by_both * (self._share / (chance * (1.0 - chance)))) @ by_both.T
        return self._loss(logistic, half), gradient, hessian

    def _logistic(self, step: float) -> Numbers:
        return 1.0 / (1.0 + np.exp(np.minimum(step * self._distance, _LEVEL)))

    def _loss(self, logistic: Numbers, half: float) -> float:
        chance = half + (1.0 - 2.0 * half) * logistic
        return -float(
            self._share @ (self._ahead * np.log1p(-chance) + self._behind * np.log(chance))
        )

    def _slopes(self, logistic: Numbers, half: float) -> tuple[float, float]:
        """Return the first and second derivative of the loss by ``h``."""
        chance = half + (1.0 - 2.0 * half) * logistic
        slope = 1.0 - 2.0 * logistic
        ahead, behind = (
            self._share * self._ahead / (1.0 - chance),
            self._share * self._behind / chance,
        )
        rise = float(slope @ (ahead - behind))
        slope = np.square(slope, out=slope)
        return rise, float(slope @ (ahead / (1.0 - chance) + behind / chance))


# Called, not written above the class: as a decorator it would hide the class's own type.
CALIBRATORS.register(Lapse.kind)(Lapse)
