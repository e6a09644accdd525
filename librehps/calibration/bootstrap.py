"""Intervals by resampling: whole prompts are drawn, as pairs of one prompt share their pictures.

Plain percentiles are too narrow where there are few prompts, and miss more on one side where a
statistic is skewed. So they are widened as Student's t is against the normal distribution, and
moved by the bias and the acceleration of the statistic (BCa). With many prompts and no skew nothing
is left of either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from librehps.calibration.pairs import Column, Numbers, column
from librehps.calibration.student import student_quantile
from librehps.errors import ConfigError, InputError

__all__ = ["Clusters", "Interval", "Rows", "bootstrap", "bootstrap_mean", "number_clusters"]

Rows: TypeAlias = NDArray[np.int64]
#: What tells the clusters apart, such as the prompt of each row, ``[N]``.
Clusters: TypeAlias = Sequence[Hashable] | NDArray[Any]

DEFAULT_RESAMPLES = 1000
# Draws held at a time, so that memory does not grow with rows times resamples.
_CHUNK = 2_000_000
# A jackknife that leaves out groups has the same acceleration as one that leaves out clusters.
_MAX_GROUPS = 200
_ROUNDING = 1e-12
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """A statistic with its bootstrap interval.

    Args:
        value: The statistic of all rows.
        low: Lower end of the interval.
        high: Upper end.
        n: Rows.
        num_clusters: What was resampled: prompts, or rows where each stands alone.
        level: How often such an interval holds the truth.
    """

    value: float
    low: float
    high: float
    n: int
    num_clusters: int
    level: float = 0.95

    def to_dict(self) -> dict[str, float]:
        """Return every field by its name."""
        return dict(vars(self))


def bootstrap(
    statistic: Callable[[Rows], float],
    count: int,
    *,
    clusters: Clusters | None = None,
    resamples: int = DEFAULT_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return a statistic with its interval.

    Not for a calibration error against votes, which chance drives up in the sample and again in
    every resample: see :func:`~librehps.calibration.calibration_error_interval`.

    Args:
        statistic: From the indices of rows, some of them repeated, to a number; NaN where it has
            none for such rows, as an AUROC without a positive. It is asked ``resamples`` times, and
            as often again for its acceleration, at most 200 times.
        count: Rows there are.
        clusters: Rows with the same value are drawn together, ``[count]``; ``None`` where each row
            stands alone.
        resamples: How often to draw.
        level: In (0, 1).
        seed: Of the draws; the same seed gives the same interval.

    Raises:
        InputError: Fewer than two clusters, or as many clusters as rows are missing (code
            ``bootstrap_clusters``), or the statistic of all rows is not finite
            (``bootstrap_undefined``).
        ConfigError: ``resamples`` or ``level`` makes no sense (code ``bootstrap_setting``).

    References:
        Efron, "Better bootstrap confidence intervals", 1987, section 4 (BCa); Hesterberg, "What
        teachers should know about the bootstrap", 2015, section 5.1 (the wider percentiles); Field
        and Welsh, "Bootstrapping clustered data", 2007, for drawing whole clusters.
    """
    _demand_settings(resamples, level)
    members = _Members(count, clusters)
    rng = np.random.default_rng(seed)
    value = statistic(np.arange(count))
    found = np.array(
        [
            statistic(members.rows(rng.integers(members.count, size=members.count)))
            for _ in range(resamples)
        ]
    )
    group = members.groups(resamples)
    without = np.array(
        [statistic(members.rows(np.flatnonzero(group != one))) for one in range(int(group[-1]) + 1)]
    )
    return _interval(value, found, without, members, level)


def bootstrap_mean(
    values: Column,
    *,
    weight: Column | None = None,
    clusters: Clusters | None = None,
    resamples: int = DEFAULT_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return a weighted mean with its interval; the same as :func:`bootstrap`, faster.

    Accuracy, the Brier score and the likelihood are such means.

    Args:
        values: One for each row, finite, ``[N]``.
        weight: How much each row counts, not negative, ``[N]``.
        clusters: Rows with the same value are drawn together, ``[N]``.
        resamples: How often to draw.
        level: In (0, 1).
        seed: Of the draws.

    Raises:
        InputError: See :func:`bootstrap`; or a weight per row is missing, or negative (code
            ``metric_weight``).
        ConfigError: See :func:`bootstrap`.
    """
    _demand_settings(resamples, level)
    data = column(values)
    weights = np.ones(len(data)) if weight is None else column(weight)
    if len(weights) != len(data) or not (weights >= 0.0).all():
        raise InputError(
            "there must be a weight for each value, none negative", code="metric_weight"
        )
    members = _Members(len(data), clusters)
    sums = np.bincount(members.cluster, weights=data * weights, minlength=members.count)
    totals = np.bincount(members.cluster, weights=weights, minlength=members.count)
    group = members.groups(resamples)
    rng = np.random.default_rng(seed)
    parts: list[Numbers] = []
    with np.errstate(invalid="ignore"):
        value = float(sums.sum() / totals.sum())
        for size in _chunks(resamples, members.count):
            drawn = rng.integers(members.count, size=(size, members.count))
            parts.append(sums[drawn].sum(axis=1) / totals[drawn].sum(axis=1))
        rest = sums.sum() - np.bincount(group, weights=sums)
        without = rest / (totals.sum() - np.bincount(group, weights=totals))
    return _interval(value, np.concatenate(parts), without, members, level)


def number_clusters(clusters: Clusters | None, num_rows: int) -> Rows:
    """Return the number of each row's cluster, from 0, ``[N]``; its own if there are no clusters.

    Raises:
        InputError: Not a cluster for each row (code ``bootstrap_clusters``).
    """
    if clusters is None:
        return np.arange(num_rows)
    if len(clusters) != num_rows:
        raise InputError(
            f"there are {num_rows} rows, but the clusters of {len(clusters)}",
            code="bootstrap_clusters",
        )
    numbers: dict[Hashable, int] = {}
    named = clusters.tolist() if isinstance(clusters, np.ndarray) else clusters
    return np.array([numbers.setdefault(name, len(numbers)) for name in named], dtype=np.int64)


class _Members:
    """Which rows belong to which cluster."""

    def __init__(self, num_rows: int, clusters: Clusters | None) -> None:
        self.num_rows = num_rows
        self.cluster = number_clusters(clusters, num_rows)
        self.count = int(self.cluster.max()) + 1 if num_rows else 0
        if self.count < 2:
            raise InputError(
                f"there are {self.count} clusters of rows; resampling needs at least 2",
                code="bootstrap_clusters",
            )
        self._order = np.argsort(self.cluster, kind="stable")
        self._sizes = np.bincount(self.cluster)
        self._starts = np.cumsum(self._sizes) - self._sizes

    def groups(self, most: int) -> Rows:
        """Return a group for each cluster, rising from 0: those that a jackknife leaves out."""
        return np.arange(self.count) * min(self.count, _MAX_GROUPS, max(most, 2)) // self.count

    def rows(self, drawn: Rows) -> Rows:
        """Return the rows of the clusters that were drawn, end to end."""
        sizes = self._sizes[drawn]
        # Each cluster's rows lie together in _order: count up from its start.
        before = np.repeat(np.cumsum(sizes) - sizes, sizes)
        places = np.repeat(self._starts[drawn], sizes) + np.arange(len(before)) - before
        return self._order[places]


def _chunks(resamples: int, width: int) -> list[int]:
    size = max(1, _CHUNK // width)
    return [min(size, resamples - start) for start in range(0, resamples, size)]


def _interval(
    value: float, found: Numbers, without: Numbers, members: _Members, level: float
) -> Interval:
    """Return the interval from the statistic of all rows, of each draw, and without each group."""
    known = found[~np.isnan(found)]
    if not np.isfinite(value) or not np.isfinite(known).all() or len(known) == 0:
        raise InputError(
            f"the statistic of all rows is {value}; an interval needs finite numbers",
            code="bootstrap_undefined",
        )
    # In standard deviations: what Student's t takes, of an estimate from as many clusters.
    wide = math.sqrt(members.count / (members.count - 1.0))
    reach = wide * student_quantile(0.5 * (1.0 - level), members.count - 1)
    below = float((known < value).mean() + (known <= value).mean()) / 2.0
    least = 0.5 / len(known)
    bias = _NORMAL.inv_cdf(min(max(below, least), 1.0 - least))
    acceleration = _acceleration(without)
    edges = [_edge(bias + side * reach, bias, acceleration) for side in (-1.0, 1.0)]
    # Of n draws the k-th lies at k / (n + 1): a next one falls into each gap as often.
    low, high = np.quantile(known, edges, method="weibull")
    return Interval(float(value), float(low), float(high), members.num_rows, members.count, level)


def _edge(distance: float, bias: float, acceleration: float) -> float:
    """Return which share of the draws lies below an end of the interval."""
    slowed = 1.0 - acceleration * distance
    if slowed <= 0.0:
        return 1.0 if distance > 0.0 else 0.0
    return _NORMAL.cdf(bias + distance / slowed)


def _acceleration(without: Numbers) -> float:
    """Return a sixth of the skewness of the jackknife; 0 where it has none."""
    known = without[np.isfinite(without)]
    if len(known) < 2:
        return 0.0
    moved = known.mean() - known
    spread = float(np.square(moved).sum())
    # Differences that are rounding have a sign, but no skewness.
    if spread <= len(known) * (_ROUNDING * float(np.abs(known).max())) ** 2:
        return 0.0
    return float(np.power(moved, 3).sum()) / (6.0 * spread**1.5)


def _demand_settings(resamples: int, level: float) -> None:
    if resamples < 1 or not 0.0 < level < 1.0:
        raise ConfigError(
            f"resamples is {resamples} and level {level}; at least 1, and in (0, 1)",
            code="bootstrap_setting",
        )
