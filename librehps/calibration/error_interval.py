"""A calibration error without what chance adds to it, and an interval that holds the true one.

The mean of absolute gaps is driven up by chance: a gap of a bin that is off by nothing is never
nothing. A bootstrap repeats that, with noise on top of noise, so its percentiles lie above the
truth: wholly so for a scorer that is calibrated. Here what chance adds is taken off instead.
"""

from __future__ import annotations

import math

import numpy as np

from librehps.calibration.bootstrap import Clusters, Interval
from librehps.calibration.pairs import Column, Numbers
from librehps.calibration.reliability import DEFAULT_BINS, Binned, Binning, Quantity
from librehps.calibration.student import student_quantile
from librehps.errors import ConfigError, InputError

__all__ = ["calibration_error_interval"]

_DRAWS = 2000


def calibration_error_interval(
    probability: Column,
    target: Column,
    *,
    weight: Column | None = None,
    quantity: Quantity = "preference",
    binning: Binning = "width",
    num_bins: int = DEFAULT_BINS,
    clusters: Clusters | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the calibration error less its bias, and its interval.

    With gaps ``g`` that have standard deviations ``s``, ``E|N(g, s²)| - |g|`` is what one more
    round of chance adds to each; the sum of ``|g|`` less that is the value. The interval lies
    around it by the standard deviation of the sum of all gaps. Where chance alone gives an error as
    great as the one that was found, in more than ``(1 - level) / 2`` of all samples, it begins at
    0.

    It is made for miscalibration that is spread over the bins, as a wrong unit of the scores is.
    Where one bin alone is off by far, and none of the others, it begins too high.

    Args:
        probability: That the first of each pair is preferred, ``[N]``.
        target: Share of the votes for it, ``[N]``.
        weight: How much each pair counts, ``[N]``.
        quantity: ``"preference"`` or ``"winner"``, as for
            :func:`~librehps.calibration.expected_calibration_error`.
        binning: ``"width"`` or ``"mass"``.
        num_bins: At least 1.
        clusters: Pairs with the same value are off together, such as those of a prompt, ``[N]``.
        level: How often the interval shall hold the truth, in (0, 1).
        seed: Of the draws that say what chance gives.

    Raises:
        InputError: See :meth:`~librehps.calibration.metrics.Forecasts.of`; or fewer than two
            clusters, or not one for each pair (code ``bootstrap_clusters``).
        ConfigError: A choice that does not exist (code ``metric_setting``).

    References:
        Bröcker, "Estimating reliability and resolution of probability forecasts through
        decomposition of the empirical score", 2012, for the bias; Kumar, Liang and Ma, "Verified
        uncertainty calibration", 2019, for taking it off by a normal distribution around each gap.
    """
    if not 0.0 < level < 1.0:
        raise ConfigError(f"level is {level}; it must lie in (0, 1)", code="metric_setting")
    binned = Binned(
        probability, target, weight, quantity=quantity, binning=binning, num_bins=num_bins
    )
    gaps = binned.gaps(clusters)
    count = len(gaps)
    if count < 2:
        raise InputError(
            f"there are {count} clusters of pairs; an interval needs at least 2",
            code="bootstrap_clusters",
        )
    gap = gaps.sum(axis=0)
    found = float(np.abs(gap).sum())
    apart = (gaps - gap / count) * math.sqrt(count / (count - 1.0))
    spread = np.sqrt(np.square(apart).sum(axis=0))
    value = 2.0 * found - float(_mean_absolute(gap, spread).sum())
    # The sum's own standard deviation, with the signs that the gaps have.
    along = float(np.sqrt(np.square(apart @ np.sign(gap)).sum()))
    reach = student_quantile(0.5 * (1.0 - level), count - 1) * along
    noise = np.random.default_rng(seed).normal(size=(_DRAWS, num_bins)) @ _root(apart)
    least = float(np.quantile(np.abs(noise).sum(axis=1), 0.5 * (1.0 + level)))
    low = 0.0 if found <= least else max(value - reach, 0.0)
    return Interval(max(value, 0.0), low, max(value + reach, 0.0), binned.num_pairs, count, level)


def _mean_absolute(mean: Numbers, spread: Numbers) -> Numbers:
    """Return the mean absolute value of normal variables, ``[B]``."""
    size = np.abs(mean)
    ratio = np.divide(size, spread, out=np.full(len(mean), np.inf), where=spread > 0.0)
    inside = np.array([math.erf(one / math.sqrt(2.0)) for one in ratio.tolist()])
    return spread * math.sqrt(2.0 / math.pi) * np.exp(-0.5 * np.square(ratio)) + size * inside


def _root(apart: Numbers) -> Numbers:
    """Return a matrix ``r`` with ``r.T r`` the covariance of the gaps, ``[B, B]``."""
    values, vectors = np.linalg.eigh(apart.T @ apart)
    root: Numbers = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    return root
