"""What a calibrator is, the one that needs no fit, and the rule that makes each antisymmetric."""

from __future__ import annotations

import math
import sys
from typing import Protocol, runtime_checkable

from librehps.errors import ConfigError
from librehps.registry import Registry
from librehps.results import AxisScore


@runtime_checkable
class Calibrator(Protocol):
    """Turns two scores on one axis into a probability.

    It need not be antisymmetric: :func:`preference_probability` sees to that. One that is fitted
    to judged pairs is best a :class:`~librehps.calibration.fitted.FittedCalibrator`.
    """

    def probability(self, score_a: AxisScore, score_b: AxisScore) -> float:
        """Return the probability in [0, 1] that ``a`` is preferred to ``b``."""
        ...


CALIBRATORS: Registry[type[Calibrator]] = Registry("calibrator")


@CALIBRATORS.register("gaussian")
class GaussianDifference:
    """The probability that the difference of two independent normal scores is positive. No fit.

    ``P(a > b) = Phi((mean_a - mean_b) / sqrt(sigma_a² + sigma_b²))``. Two sigmas of zero make it a
    step: 0, 1/2 or 1. Where a head gives no sigma the scores are read as log-odds, and the
    probability is the logistic function of their difference.

    References:
        L. L. Thurstone, "A law of comparative judgment", 1927 (case III); R. A. Bradley and
        M. E. Terry, "Rank analysis of incomplete block designs", 1952, for scores without sigma.
    """

    def probability(self, score_a: AxisScore, score_b: AxisScore) -> float:
        """Return the probability in [0, 1] that ``a`` is preferred to ``b``."""
        difference = score_a.mean - score_b.mean
        # Finite scores may lie too far apart for a float, and infinity over infinity is NaN.
        distance = min(abs(difference), sys.float_info.max)
        tail = self._tail(distance, score_a.sigma, score_b.sigma)
        # The tail is what is small and exactly known; the other side is its complement.
        return tail if difference < 0 else 1.0 - tail

    @staticmethod
    def _tail(distance: float, sigma_a: float | None, sigma_b: float | None) -> float:
        """Return the probability, at most 1/2, of the side that lies behind by ``distance``."""
        if sigma_a is None or sigma_b is None:
            small = math.exp(-distance)
            return small / (1.0 + small)
        spread = min(math.hypot(sigma_a, sigma_b), sys.float_info.max)
        if spread == 0.0:
            return 0.5 if distance == 0.0 else 0.0
        # The ratio may overflow to infinity, whose tail is 0, which is right.
        return 0.5 * math.erfc(distance / spread / math.sqrt(2.0))


def preference_probability(
    score_a: AxisScore, score_b: AxisScore, *, calibrator: Calibrator | None = None
) -> float:
    """Return the probability that ``a`` is preferred; both ways round add up to exactly 1.

    The pair is put in one order (lower mean first), the calibrator is asked both ways round, what
    an intercept adds is averaged away, and the other side is one minus the result: ``p + (1 - p)``
    is 1 in floating point for every ``p`` in [0, 1].

    Args:
        score_a: Score of ``a`` on the axis that is compared.
        score_b: Score of ``b`` on the same axis.
        calibrator: ``None`` for :class:`GaussianDifference`.

    Returns:
        A probability in [0, 1].

    Raises:
        ConfigError: The calibrator returned no probability (code ``calibrator_range``).
    """
    judge = GaussianDifference() if calibrator is None else calibrator
    swapped = _key(score_b) < _key(score_a)
    low, high = (score_b, score_a) if swapped else (score_a, score_b)
    if _key(low) == _key(high):
        return 0.5
    forward, backward = judge.probability(low, high), judge.probability(high, low)
    for value in (forward, backward):
        if not 0.0 <= value <= 1.0:
            raise ConfigError(
                f"{type(judge).__name__} returned {value}, which is not in [0, 1]",
                code="calibrator_range",
            )
    # One that is antisymmetric already is taken at its word: averaging would halve tiny tails.
    antisymmetric = forward + backward == 1.0
    probability_low = forward if antisymmetric else 0.5 * (forward + (1.0 - backward))
    return 1.0 - probability_low if swapped else probability_low


def _key(score: AxisScore) -> tuple[float, bool, float]:
    return (score.mean, score.sigma is None, score.sigma or 0.0)
