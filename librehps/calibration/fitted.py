"""The base of every calibrator that is fitted: one tail makes it antisymmetric.

A subclass says how probable it is that what lies behind is preferred. The other side is its
complement, so ``P(a, b) + P(b, a)`` is 1 to the last bit, and tiny tails keep all their digits.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from librehps.calibration.pairs import Numbers, ScorePairs
from librehps.errors import ConfigError
from librehps.registry import nearest
from librehps.results import AxisScore

__all__ = ["MIN_PAIRS", "FittedCalibrator", "demand_number", "demand_positive", "read_keys"]

#: Fewest pairs that a fit of one to three parameters takes.
MIN_PAIRS = 30
_GREATEST = sys.float_info.max


class FittedCalibrator(ABC):
    """A calibrator whose parameters were fitted to pairs that people judged.

    Fitting and applying need numpy only. To add one, subclass it, register it in ``CALIBRATORS``
    under its ``kind``, and the tests run the contract over it.
    """

    kind: ClassVar[str]
    needs_sigma: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def fit(cls, pairs: ScorePairs) -> FittedCalibrator:
        """Fit the parameters.

        Raises:
            InputError: The pairs cannot tell the parameters; the code says why.
        """

    @abstractmethod
    def tail(self, distance: Numbers, spread: Numbers | None) -> Numbers:
        """Return the probability that an item that lies behind is preferred, at most 1/2, ``[N]``.

        Args:
            distance: By how much it lies behind, in log-odds, above 0, ``[N]``.
            spread: Standard deviation of the difference, ``[N]``; only with ``needs_sigma``.
        """

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Return the parameters as JSON data."""

    @classmethod
    @abstractmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> FittedCalibrator:
        """Build from what :meth:`parameters` returned.

        Raises:
            ConfigError: A key is missing or unknown, or a value makes no sense.
        """

    def probabilities(self, difference: Numbers, spread: Numbers | None = None) -> Numbers:
        """Return the probability that ``a`` is preferred, for many pairs, ``[N]``.

        Args:
            difference: Mean of ``a`` less mean of ``b``, in log-odds, ``[N]``.
            spread: Standard deviation of the difference, ``[N]``; for calibrators that need it.

        Raises:
            ConfigError: The calibrator needs sigmas and there are none (code
                ``calibration_sigma_missing``).
        """
        if self.needs_sigma and spread is None:
            raise ConfigError(
                f"the calibrator {self.kind!r} needs the sigmas of both scores; this head gives "
                "none: fit another, such as 'platt'",
                code="calibration_sigma_missing",
            )
        distance = np.minimum(np.abs(difference), _GREATEST)
        # What overflows or underflows ends at a probability of 0, which is right.
        with np.errstate(over="ignore", under="ignore"):
            behind = np.minimum(self.tail(distance, spread), 0.5)
        behind = np.where(distance == 0.0, 0.5, behind)
        return np.where(difference < 0.0, behind, 1.0 - behind)

    def of_pairs(self, pairs: ScorePairs) -> Numbers:
        """Return the probability that the first of each pair is preferred, ``[N]``."""
        return self.probabilities(pairs.difference, pairs.spread)

    def probability(self, score_a: AxisScore, score_b: AxisScore) -> float:
        """Return the probability in [0, 1] that ``a`` is preferred to ``b``.

        Raises:
            ConfigError: See :meth:`probabilities`.
        """
        spread = None
        if score_a.sigma is not None and score_b.sigma is not None:
            spread = np.array([min(math.hypot(score_a.sigma, score_b.sigma), _GREATEST)])
        difference = np.array([score_a.mean - score_b.mean])
        return float(self.probabilities(difference, spread)[0])


def read_keys(parameters: Mapping[str, Any], names: tuple[str, ...]) -> list[Any]:
    """Return the values of exactly these keys.

    Raises:
        ConfigError: A key is missing or unknown (code ``calibration_key``).
    """
    for name in parameters:
        if name not in names:
            shown = str(name)[:80]
            raise ConfigError(
                f"unknown key {shown!r}{nearest(shown, names)}", code="calibration_key"
            )
    for name in names:
        if name not in parameters:
            raise ConfigError(f"the key {name!r} is missing", code="calibration_key")
    return [parameters[name] for name in names]


def demand_number(name: str, value: object) -> float:
    """Return a finite number as a float.

    Raises:
        ConfigError: No number, or not finite (code ``calibration_number``).
    """
    # True is an int, but nobody means 1 by it.
    if isinstance(value, int | float) and not isinstance(value, bool):
        # An int may be greater than any float, and too long to print.
        if -_GREATEST <= value <= _GREATEST:
            return float(value)
        shown = f"{value}" if isinstance(value, float) else "an integer beyond all floats"
    else:
        shown = f"{str(value)[:80]!r}"
    raise ConfigError(f"{name} is {shown}; it must be a finite number", code="calibration_number")


def demand_positive(name: str, value: object) -> float:
    """Return a number above zero.

    Raises:
        ConfigError: No finite number (code ``calibration_number``), or not above zero
            (``calibration_not_monotone``): such a calibrator would turn rankings over.
    """
    number = demand_number(name, value)
    if number <= 0.0:
        raise ConfigError(
            f"{name} is {number:g}, and must be above 0: otherwise what scores higher would be "
            "preferred less",
            code="calibration_not_monotone",
        )
    return number
