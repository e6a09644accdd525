"""Intervals by resampling: whole prompts are drawn, as pairs of one prompt share their pictures."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from librehps.calibration.pairs import Column, Numbers, column
from librehps.errors import ConfigError, InputError

__all__ = ["Clusters", "Interval", "Rows", "bootstrap", "bootstrap_mean"]

Rows: TypeAlias = NDArray[np.int64]
#: What tells the clusters apart, such as the prompt of each row, ``[N]``.
Clusters: TypeAlias = Sequence[Hashable] | NDArray[Any]

DEFAULT_RESAMPLES = 1000
# Draws held at a time, so that memory does not grow with rows times resamples.
_CHUNK = 2_000_000


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
    """Return a statistic with its percentile interval.

    Args:
        statistic: From the indices of rows, some of them repeated, to a number; NaN where it has
            none for such rows, as an AUROC without a positive.
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
        Efron, "Bootstrap methods: another look at the jackknife", 1979; Field and Welsh,
        "Bootstrapping clustered data", 2007, for drawing whole clusters.
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
    return _interval(value, found, members, level)


def bootstrap_mean(
    values: Column,
    *,
    weight: Column | None = None,
    clusters: Clusters | None = None,
    resamples: int = DEFAULT_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return a weighted mean with its percentile interval; the same as :func:`bootstrap`, faster.

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
    rng = np.random.default_rng(seed)
    parts: list[Numbers] = []
    with np.errstate(invalid="ignore"):
        value = float(sums.sum() / totals.sum())
        for size in _chunks(resamples, members.count):
            drawn = rng.integers(members.count, size=(size, members.count))
            parts.append(sums[drawn].sum(axis=1) / totals[drawn].sum(axis=1))
    return _interval(value, np.concatenate(parts), members, level)


class _Members:
    """Which rows belong to which cluster."""

    def __init__(self, num_rows: int, clusters: Clusters | None) -> None:
        self.num_rows = num_rows
        if clusters is None:
            self.cluster = np.arange(num_rows)
        else:
            if len(clusters) != num_rows:
                raise InputError(
                    f"there are {num_rows} rows, but the clusters of {len(clusters)}",
                    code="bootstrap_clusters",
                )
            numbers: dict[Hashable, int] = {}
            named = clusters.tolist() if isinstance(clusters, np.ndarray) else clusters
            self.cluster = np.array(
                [numbers.setdefault(name, len(numbers)) for name in named], dtype=np.int64
            )
        self.count = int(self.cluster.max()) + 1 if num_rows else 0
        if self.count < 2:
            raise InputError(
                f"there are {self.count} clusters of rows; resampling needs at least 2",
                code="bootstrap_clusters",
            )
        self._order = np.argsort(self.cluster, kind="stable")
        self._sizes = np.bincount(self.cluster)
        self._starts = np.cumsum(self._sizes) - self._sizes

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


def _interval(value: float, found: Numbers, members: _Members, level: float) -> Interval:
    known = found[~np.isnan(found)]
    if not np.isfinite(value) or not np.isfinite(known).all() or len(known) == 0:
        raise InputError(
            f"the statistic of all rows is {value}; an interval needs finite numbers",
            code="bootstrap_undefined",
        )
    edge = 0.5 * (1.0 - level)
    low, high = np.quantile(known, (edge, 1.0 - edge))
    return Interval(float(value), float(low), float(high), members.num_rows, members.count, level)


def _demand_settings(resamples: int, level: float) -> None:
    if resamples < 1 or not 0.0 < level < 1.0:
        raise ConfigError(
            f"resamples is {resamples} and level {level}; at least 1, and in (0, 1)",
            code="bootstrap_setting",
        )
