"""How far an order by scores agrees with an order by people, for rankings and for pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from librehps.calibration import Interval, bootstrap
from librehps.calibration.bootstrap import Rows, number_clusters
from librehps.calibration.pairs import Column, Numbers, column
from librehps.errors import BackendError, InputError

__all__ = [
    "RankAgreement",
    "correlation_interval",
    "kendall_tau",
    "rank_agreement",
    "ranking_accuracy",
    "spearman_rho",
]

# Every draw sorts all rows anew, and a set may have 40,000 on each of twenty dimensions.
_RESAMPLES = 200


@dataclass(frozen=True)
class RankAgreement:
    """Means over the prompts for which each is defined; NaN where it is for none.

    Args:
        accuracy: Share of the pairs of different rank that scores put in the right order.
        kendall: Kendall's tau-b.
        spearman: Spearman's rho.
        num_prompts: Prompts there were.
    """

    accuracy: float
    kendall: float
    spearman: float
    num_prompts: int


def kendall_tau(first: Column, second: Column) -> float:
    """Return Kendall's tau-b, in [-1, 1]; NaN where one of the two is constant.

    Args:
        first: One order, by numbers that rise, ``[N]``.
        second: The other, ``[N]``.

    Raises:
        InputError: Columns of different lengths (code ``ranking_shape``).
        BackendError: scipy is not installed (code ``scipy_missing``).

    References:
        Kendall, "The treatment of ties in ranking problems", 1945.
    """
    return _correlation("kendalltau", first, second)


def spearman_rho(first: Column, second: Column) -> float:
    """Return Spearman's rank correlation, in [-1, 1]; NaN where one of the two is constant.

    Args:
        first: One order, by numbers that rise, ``[N]``.
        second: The other, ``[N]``.

    Raises:
        InputError: Columns of different lengths (code ``ranking_shape``).
        BackendError: scipy is not installed (code ``scipy_missing``).

    References:
        Spearman, "The proof and measurement of association between two things", 1904.
    """
    return _correlation("spearmanr", first, second)


def correlation_interval(
    kind: Callable[[Numbers, Numbers], float],
    first: Numbers,
    second: Numbers,
    *,
    prompts: Sequence[str] | NDArray[Any],
    both_orders: bool = False,
) -> Interval | None:
    """Return a correlation with its 95% interval, for which whole prompts are drawn 200 times.

    Args:
        kind: `kendall_tau`, `spearman_rho`, or any like them.
        first: One order, ``[N]``.
        second: The other, ``[N]``.
        prompts: Rows with the same value are drawn together, ``[N]``.
        both_orders: Count every row once more with both signs turned: for differences of pairs,
            whose order means nothing.

    Returns:
        ``None`` where either is constant; ends that are NaN where all rows are of one prompt.

    Raises:
        InputError: See `kendall_tau`.
        BackendError: scipy is not installed (code ``scipy_missing``).
    """

    def statistic(rows: Rows) -> float:
        one, other = first[rows], second[rows]
        if both_orders:
            one, other = np.concatenate([one, -one]), np.concatenate([other, -other])
        return kind(one, other)

    value = statistic(np.arange(len(first)))
    if math.isnan(value):
        return None
    if number_clusters(prompts, len(first)).max() < 1:
        return Interval(value, math.nan, math.nan, len(first), 1)
    return bootstrap(statistic, len(first), clusters=prompts, resamples=_RESAMPLES)


def ranking_accuracy(scores: Column, ranks: Column) -> float:
    """Return the share of the pairs of different rank that scores put in the right order.

    Equal scores are wrong; NaN where all ranks are equal.

    Args:
        scores: Of the images of one prompt, higher is better, ``[N]``.
        ranks: What people said, the smallest the best, ``[N]``.

    Raises:
        InputError: Columns of different lengths (code ``ranking_shape``).
    """
    high, low = _columns(scores, ranks)
    upper = np.triu_indices(len(high), k=1)
    by_score = np.sign(high[upper[0]] - high[upper[1]])
    by_people = np.sign(low[upper[1]] - low[upper[0]])
    decided = by_people != 0
    return float((by_score == by_people)[decided].mean()) if decided.any() else math.nan


def rank_agreement(scores: Sequence[Column], ranks: Sequence[Column]) -> RankAgreement:
    """Return the agreement of every prompt's ranking, as means over the prompts.

    Args:
        scores: Of the images of each prompt, higher is better.
        ranks: What people said of the same, the smallest the best.

    Raises:
        InputError: Lists or columns of different lengths (code ``ranking_shape``).
        BackendError: scipy is not installed (code ``scipy_missing``).
    """
    if len(scores) != len(ranks):
        raise InputError(
            f"there are scores of {len(scores)} prompts and ranks of {len(ranks)}",
            code="ranking_shape",
        )
    prompts = list(zip(scores, (-column(one) for one in ranks), strict=True))
    return RankAgreement(
        accuracy=_mean([ranking_accuracy(high, -good) for high, good in prompts]),
        kendall=_mean([kendall_tau(high, good) for high, good in prompts]),
        spearman=_mean([spearman_rho(high, good) for high, good in prompts]),
        num_prompts=len(prompts),
    )


def _correlation(name: str, first: Column, second: Column) -> float:
    left, right = _columns(first, second)
    if len(left) < 2 or left.min() == left.max() or right.min() == right.max():
        return math.nan
    try:
        from scipy import stats
    except ModuleNotFoundError as error:
        raise BackendError(
            'rank correlations need scipy: pip install "librehps[evaluate]"', code="scipy_missing"
        ) from error
    return float(getattr(stats, name)(left, right).statistic)


def _columns(first: Column, second: Column) -> tuple[np.ndarray, np.ndarray]:
    left, right = column(first), column(second)
    if len(left) != len(right):
        raise InputError(
            f"there are {len(left)} numbers and {len(right)}; they must be as many",
            code="ranking_shape",
        )
    return left, right


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else math.nan
