"""Do things that are called 70% sure come true 70% of the time: calibration error and its diagram.

There is no one calibration error. Its bins may be equally wide or hold equally many pairs, and it
may judge one of two quantities, which give different numbers:

``"preference"``
    The probability that the first item is preferred, against the votes for it; bins over [0, 1].
``"winner"``
    The probability of the item that was named the winner, against the votes for that one; bins over
    [0.5, 1]. It is what the first gives when every pair is counted both ways round.

So a result is never called "ECE": its name says which one it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from librehps.calibration.bootstrap import Clusters, number_clusters
from librehps.calibration.metrics import Forecasts
from librehps.calibration.pairs import Column, Numbers
from librehps.errors import ConfigError

__all__ = [
    "Binned",
    "Binning",
    "CalibrationError",
    "Quantity",
    "ReliabilityBin",
    "ReliabilityDiagram",
    "expected_calibration_error",
    "reliability_diagram",
]

Binning: TypeAlias = Literal["width", "mass"]
Quantity: TypeAlias = Literal["preference", "winner"]

DEFAULT_BINS = 15


@dataclass(frozen=True)
class CalibrationError:
    """An expected calibration error, and which one it is.

    Args:
        value: Mean gap between what was stated and what was observed, in [0, 1].
        by_chance: What a perfectly calibrated scorer would get on average from targets that scatter
            as much, as bins of few pairs are off by chance. Single votes scatter more than shares
            of many, and pairs of one prompt together. A value near it is no evidence of
            miscalibration.
        quantity: Which probability was judged.
        binning: Bins of equal width or of equal mass.
        num_bins: How many.
        num_pairs: Pairs that were judged.
    """

    value: float
    by_chance: float
    quantity: Quantity
    binning: Binning
    num_bins: int
    num_pairs: int

    @property
    def name(self) -> str:
        """For example ``"ece_preference_15_equal_width"``."""
        return f"ece_{self.quantity}_{self.num_bins}_equal_{self.binning}"

    def to_dict(self) -> dict[str, Any]:
        """Return the value under its :attr:`name`, what chance gives, and the number of pairs."""
        return {
            self.name: self.value,
            f"{self.name}_by_chance": self.by_chance,
            "num_pairs": self.num_pairs,
        }


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram that holds at least one pair.

    Args:
        low: Lower edge of the stated probability.
        high: Upper edge.
        count: Pairs in it.
        share: Their share of the weight, in (0, 1].
        confidence: Mean of what was stated.
        observed: Mean of the targets.
        observed_low: Lower end of the interval of ``observed``.
        observed_high: Upper end.
    """

    low: float
    high: float
    count: int
    share: float
    confidence: float
    observed: float
    observed_low: float
    observed_high: float


@dataclass(frozen=True)
class ReliabilityDiagram:
    """What was stated beside what was observed, bin by bin; empty bins are left out.

    Args:
        bins: From low to high.
        error: The calibration error of these bins.
        level: How often an interval holds the truth.
    """

    bins: tuple[ReliabilityBin, ...]
    error: CalibrationError
    level: float

    def to_dict(self) -> dict[str, Any]:
        """Return the error, the level, and the fields of every bin."""
        return {
            **self.error.to_dict(),
            "level": self.level,
            "bins": [vars(part) for part in self.bins],
        }


def expected_calibration_error(
    probability: Column,
    target: Column,
    *,
    weight: Column | None = None,
    quantity: Quantity = "preference",
    binning: Binning = "width",
    num_bins: int = DEFAULT_BINS,
    clusters: Clusters | None = None,
) -> CalibrationError:
    """Return the mean over bins of ``|mean stated - mean observed|``, weighted by their pairs.

    Chance adds to it and never takes away, so it has no interval of its own: see
    :func:`~librehps.calibration.calibration_error_interval`.

    Args:
        probability: That the first of each pair is preferred, ``[N]``.
        target: Share of the votes for it, or its true probability, ``[N]``.
        weight: How much each pair counts, ``[N]``.
        quantity: ``"preference"`` or ``"winner"``; see the module.
        binning: ``"width"`` or ``"mass"``.
        num_bins: At least 1.
        clusters: Pairs with the same value are off together, such as those of a prompt, ``[N]``;
            only what chance gives depends on it.

    Raises:
        InputError: See :meth:`~librehps.calibration.metrics.Forecasts.of`; or not a cluster for
            each pair (code ``bootstrap_clusters``).
        ConfigError: A choice that does not exist (code ``metric_setting``).

    References:
        Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017, equation
        3 (equal width); Nixon et al., "Measuring calibration in deep learning", 2019 (equal mass).
    """
    binned = Binned(
        probability, target, weight, quantity=quantity, binning=binning, num_bins=num_bins
    )
    return binned.error(clusters)


def reliability_diagram(
    probability: Column,
    target: Column,
    *,
    weight: Column | None = None,
    quantity: Quantity = "preference",
    binning: Binning = "width",
    num_bins: int = DEFAULT_BINS,
    level: float = 0.95,
    clusters: Clusters | None = None,
) -> ReliabilityDiagram:
    """Return what was stated and observed in each bin, with Wilson's interval.

    The interval takes pairs for independent, and a share of votes for one vote: it is too wide for
    shares of many votes, and too narrow where pairs share pictures.

    Args:
        probability: That the first of each pair is preferred, ``[N]``.
        target: Share of the votes for it, ``[N]``.
        weight: How much each pair counts, ``[N]``.
        quantity: ``"preference"`` or ``"winner"``; see the module.
        binning: ``"width"`` or ``"mass"``.
        num_bins: At least 1.
        level: How often an interval shall hold the truth, in (0, 1).
        clusters: As for :func:`expected_calibration_error`; the intervals of the bins do not use
            them.

    Raises:
        InputError: As of :func:`expected_calibration_error`.
        ConfigError: A choice that does not exist (code ``metric_setting``).

    References:
        Wilson, "Probable inference, the law of succession, and statistical inference", 1927; Kish,
        "Survey sampling", 1965, for the effective number of weighted pairs.
    """
    if not 0.0 < level < 1.0:
        raise ConfigError(f"level is {level}; it must lie in (0, 1)", code="metric_setting")
    binned = Binned(
        probability, target, weight, quantity=quantity, binning=binning, num_bins=num_bins
    )
    return ReliabilityDiagram(binned.bins(level), binned.error(clusters), level)


class Binned:
    """Pairs sorted into bins, and the sums of each."""

    def __init__(
        self,
        probability: Column,
        target: Column,
        weight: Column | None,
        *,
        quantity: Quantity,
        binning: Binning,
        num_bins: int,
    ) -> None:
        if quantity not in ("preference", "winner") or binning not in ("width", "mass"):
            raise ConfigError(
                f"quantity is {quantity!r} and binning {binning!r}; they must be 'preference' or "
                "'winner', and 'width' or 'mass'",
                code="metric_setting",
            )
        if num_bins < 1:
            raise ConfigError(f"num_bins is {num_bins}; at least 1", code="metric_setting")
        given = Forecasts.of(probability, target, weight)
        stated, true = given.probability, given.target
        self._least = 0.0
        if quantity == "winner":
            turned = stated < 0.5
            true = np.where(turned, 1.0 - true, true)
            # At exactly one half no winner is named, and each side has half of the votes.
            true = np.where(stated == 0.5, 0.5, true)
            stated = np.where(turned, 1.0 - stated, stated)
            self._least = 0.5
        self._choice: tuple[Quantity, Binning, int] = (quantity, binning, num_bins)
        self.num_pairs = len(stated)
        self._edges = self._equal(stated, given.share, binning, num_bins)
        if binning == "width":
            scaled = (stated - self._least) / (1.0 - self._least) * num_bins
            self._place = np.minimum(scaled.astype(np.int64), num_bins - 1)
        else:
            self._place = np.searchsorted(self._edges[1:-1], stated, side="right")
        self._count = np.bincount(self._place, minlength=num_bins)
        self._share = self._sum(given.share)
        self._squared = self._sum(np.square(given.share))
        self._stated = self._sum(given.share * stated)
        self._observed = self._sum(given.share * true)
        self._apart = given.share * (stated - true)

    def error(self, clusters: Clusters | None = None) -> CalibrationError:
        """Return the calibration error."""
        quantity, binning, num_bins = self._choice
        # The gap of a bin is about normal, with the squares of what its clusters are off as its
        # variance if it is none; the mean of a normal's absolute value is this much.
        spread = np.sqrt(np.square(self.gaps(clusters)).sum(axis=0))
        by_chance = math.sqrt(2.0 / math.pi) * float(spread.sum())
        return CalibrationError(
            value=float(np.abs(self._stated - self._observed).sum()),
            by_chance=by_chance,
            quantity=quantity,
            binning=binning,
            num_bins=num_bins,
            num_pairs=self.num_pairs,
        )

    def gaps(self, clusters: Clusters | None = None) -> Numbers:
        """Return what each cluster adds to the gap of each bin, ``[clusters, num_bins]``.

        The gap is stated less observed, times the share of the bin; without clusters each pair
        stands alone.

        Raises:
            InputError: Not a cluster for each pair (code ``bootstrap_clusters``).
        """
        cluster = number_clusters(clusters, self.num_pairs)
        count, num_bins = int(cluster.max()) + 1, self._choice[2]
        sums = np.bincount(
            cluster * num_bins + self._place, weights=self._apart, minlength=count * num_bins
        )
        return np.asarray(sums.reshape(count, num_bins), np.float64)

    def bins(self, level: float) -> tuple[ReliabilityBin, ...]:
        """Return the bins that hold something."""
        found: list[ReliabilityBin] = []
        for place in np.flatnonzero(self._share > 0.0).tolist():
            share = float(self._share[place])
            observed = min(float(self._observed[place]) / share, 1.0)
            effective = share * share / float(self._squared[place])
            low, high = _wilson(observed, effective, level)
            found.append(
                ReliabilityBin(
                    low=float(self._edges[place]),
                    high=float(self._edges[place + 1]),
                    count=int(self._count[place]),
                    share=share,
                    confidence=min(float(self._stated[place]) / share, 1.0),
                    observed=observed,
                    observed_low=low,
                    observed_high=high,
                )
            )
        return tuple(found)

    def _equal(self, stated: Numbers, share: Numbers, binning: Binning, num_bins: int) -> Numbers:
        """Return the edges of the bins, rising, ``[num_bins + 1]``."""
        if binning == "width":
            return np.linspace(self._least, 1.0, num_bins + 1)
        order = np.argsort(stated, kind="stable")
        passed = np.cumsum(share[order])
        # The first pair beyond each equal part of the weight; equal ones share a bin. Shares that
        # add up to a part but for rounding are that part.
        parts = np.arange(1, num_bins) / num_bins + 1e-9
        after = np.minimum(np.searchsorted(passed, parts, side="right"), len(stated) - 1)
        return np.concatenate([[self._least], stated[order][after], [1.0]])

    def _sum(self, values: Numbers) -> NDArray[np.float64]:
        sums = np.bincount(self._place, weights=values, minlength=self._choice[2])
        return np.asarray(sums, np.float64)


def _wilson(observed: float, count: float, level: float) -> tuple[float, float]:
    """Return Wilson's interval of a share that was observed in ``count`` trials."""
    z = NormalDist().inv_cdf(0.5 + 0.5 * level)
    square = z * z / count
    middle = (observed + square / 2.0) / (1.0 + square)
    variance = observed * (1.0 - observed) / count + square / (4.0 * count)
    half = z * math.sqrt(variance) / (1.0 + square)
    return max(0.0, middle - half), min(1.0, middle + half)
