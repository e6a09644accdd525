"""Scored pairs on one axis, with what people said of them: what a calibrator is fitted from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from librehps.errors import InputError
from librehps.results import AxisScore

__all__ = ["Column", "Numbers", "ScorePairs", "column"]

Numbers: TypeAlias = NDArray[np.float64]
#: What is taken for a column of numbers.
Column: TypeAlias = Sequence[float | int] | NDArray[Any]


@dataclass(frozen=True, eq=False)
class ScorePairs:
    """Pairs of scores on one axis and the share of votes for the first; ``N`` pairs.

    Built with :meth:`of` or :meth:`from_scores`.

    Args:
        difference: Mean of ``a`` less mean of ``b``, in log-odds, ``[N]``.
        target: Share of the votes for ``a``, in [0, 1]; 0.5 is a tie, ``[N]``.
        weight: How much each pair counts, not negative, ``[N]``.
        spread: Standard deviation of the difference, in log-odds, ``[N]``; ``None`` without sigmas.

    Raises:
        InputError: Columns of different lengths or more than one dimension (code
            ``calibration_shape``), a number that is not finite (``calibration_not_finite``), a
            target outside [0, 1] (``calibration_target``), a negative weight or no sum above zero
            (``calibration_weight``), a negative spread (``calibration_sigma``).
    """

    difference: Numbers
    target: Numbers
    weight: Numbers
    spread: Numbers | None = None

    def __post_init__(self) -> None:
        shape = (len(self),)
        for name, values in self._columns().items():
            if values.shape != shape:
                raise InputError(
                    f"{name} has shape {values.shape}, but there are {len(self)} pairs",
                    code="calibration_shape",
                )
            _demand_all(np.isfinite(values), values, f"{name} must be finite", "not_finite")
        inside = (self.target >= 0.0) & (self.target <= 1.0)
        _demand_all(inside, self.target, "a target is a share of votes, in [0, 1]", "target")
        _demand_all(self.weight >= 0.0, self.weight, "a weight is not negative", "weight")
        with np.errstate(over="ignore"):
            total = float(self.weight.sum())
        if len(self) and not 0.0 < total < np.inf:
            raise InputError(
                f"the weights add up to {total}; it must be above 0 and finite",
                code="calibration_weight",
            )
        if self.spread is not None:
            _demand_all(self.spread >= 0.0, self.spread, "a sigma is not negative", "sigma")

    @classmethod
    def of(
        cls,
        mean_a: Column,
        mean_b: Column,
        target: Column,
        *,
        sigma_a: Column | None = None,
        sigma_b: Column | None = None,
        weight: Column | None = None,
    ) -> ScorePairs:
        """Build pairs from columns of numbers, each ``[N]``.

        Args:
            mean_a: Scores of ``a``, in log-odds.
            mean_b: Scores of ``b``.
            target: Share of the votes for ``a``; 0.5 is a tie.
            sigma_a: Their standard deviations; both or neither.
            sigma_b: The same of ``b``.
            weight: How much each pair counts; 1 where not given.

        Raises:
            InputError: See the class; or one sigma without the other (code ``calibration_sigma``).
        """
        if (sigma_a is None) != (sigma_b is None):
            raise InputError("give both sigmas or neither", code="calibration_sigma")
        means = {"mean_a": column(mean_a), "mean_b": column(mean_b)}
        first, second = _same_length(means)
        spread = None
        if sigma_a is not None and sigma_b is not None:
            sigmas = _same_length({"sigma_a": column(sigma_a), "sigma_b": column(sigma_b)})
            for name, sigma in zip(("sigma_a", "sigma_b"), sigmas, strict=True):
                _demand_all(~(sigma < 0.0), sigma, f"{name} is not negative", "sigma")
            with np.errstate(over="ignore"):
                spread = np.hypot(*sigmas)
        return cls(
            # inf - inf is NaN, which the class refuses by name.
            difference=_subtract(first, second),
            target=column(target),
            weight=np.ones(len(first)) if weight is None else column(weight),
            spread=spread,
        )

    @classmethod
    def from_scores(
        cls,
        scores_a: Sequence[AxisScore],
        scores_b: Sequence[AxisScore],
        target: Column,
        *,
        weight: Column | None = None,
    ) -> ScorePairs:
        """Build pairs from what the scorer returns; the sigmas count if every score has one.

        Raises:
            InputError: See the class.
        """
        sigmas = [[score.sigma for score in side] for side in (scores_a, scores_b)]
        known = [[sigma for sigma in side if sigma is not None] for side in sigmas]
        complete = [len(side) for side in known] == [len(side) for side in sigmas]
        return cls.of(
            [score.mean for score in scores_a],
            [score.mean for score in scores_b],
            target,
            sigma_a=known[0] if complete else None,
            sigma_b=known[1] if complete else None,
            weight=weight,
        )

    @classmethod
    def joined(cls, parts: Sequence[ScorePairs]) -> ScorePairs:
        """Return all pairs of several sets; without spread if one of them has none."""
        spreads = [part.spread for part in parts if part.spread is not None]
        empty = [np.empty(0)]
        return cls(
            difference=np.concatenate([part.difference for part in parts] or empty),
            target=np.concatenate([part.target for part in parts] or empty),
            weight=np.concatenate([part.weight for part in parts] or empty),
            spread=np.concatenate(spreads) if spreads and len(spreads) == len(parts) else None,
        )

    def __len__(self) -> int:
        return len(self.difference)

    @property
    def num_ties(self) -> int:
        """How many targets are 0.5 exactly."""
        return int((self.target == 0.5).sum())

    def take(self, rows: NDArray[Any]) -> ScorePairs:
        """Return the pairs that an index or a mask picks."""
        spread = None if self.spread is None else self.spread[rows]
        return ScorePairs(self.difference[rows], self.target[rows], self.weight[rows], spread)

    def folded(self) -> ScorePairs:
        """Return the same pairs with the higher score first: no difference is negative.

        Nothing is lost for a calibrator that is antisymmetric: ``(d, y)`` and ``(-d, 1 - y)`` say
        the same to it.
        """
        return self._turned(self.difference < 0.0)

    def with_random_sides(self, seed: int = 0) -> ScorePairs:
        """Return the same pairs, each turned round with probability 1/2.

        For data that put the preferred item first: an intercept would be fitted to that habit.
        """
        return self._turned(np.random.default_rng(seed).random(len(self)) < 0.5)

    def _turned(self, rows: NDArray[np.bool_]) -> ScorePairs:
        return ScorePairs(
            difference=np.where(rows, -self.difference, self.difference),
            target=np.where(rows, 1.0 - self.target, self.target),
            weight=self.weight,
            spread=self.spread,
        )

    def _columns(self) -> dict[str, Numbers]:
        columns = {"difference": self.difference, "target": self.target, "weight": self.weight}
        return columns if self.spread is None else columns | {"spread": self.spread}


def column(values: Column) -> Numbers:
    """Return ``values`` as float64, ``[N]``.

    Raises:
        InputError: It is no column of numbers (code ``calibration_shape``).
    """
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"is no column of numbers ({error})", code="calibration_shape") from error
    if numbers.ndim != 1:
        raise InputError(
            f"a column of numbers has one dimension; this has shape {numbers.shape}",
            code="calibration_shape",
        )
    return numbers


def _subtract(first: Numbers, second: Numbers) -> Numbers:
    with np.errstate(over="ignore", invalid="ignore"):
        return first - second


def _same_length(columns: dict[str, Numbers]) -> list[Numbers]:
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"{name} has {len(values)}" for name, values in columns.items())
        raise InputError(f"the lengths differ: {lengths}", code="calibration_shape")
    return list(columns.values())


def _demand_all(good: NDArray[np.bool_], values: Numbers, rule: str, code: str) -> None:
    if not good.all():
        row = int(np.argmin(good))
        raise InputError(
            f"{rule}, but this one is {values[row]}",
            code=f"calibration_{code}",
            item=f"pairs[{row}]",
        )
