"""Isotonic regression: any curve that rises, folded so that it is antisymmetric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from librehps.calibration.evidence import demand_differences, demand_pairs, demand_rising
from librehps.calibration.fitted import FittedCalibrator, demand_number, read_keys
from librehps.calibration.pairs import Numbers, ScorePairs
from librehps.calibration.protocol import CALIBRATORS
from librehps.errors import ConfigError

__all__ = ["Isotonic", "pool_adjacent_violators"]

#: A free curve needs more pairs than a few parameters do.
MIN_PAIRS = 100
#: More knots than any fit has: its number of steps grows as the cube root of that of pairs.
MAX_KNOTS = 100_000


@dataclass(frozen=True)
class Isotonic(FittedCalibrator):
    """``P(a > b)`` rises with ``|mean_a - mean_b|`` for the one ahead, and has no other form.

    Between its knots the curve is linear, at 0 it is 1/2, and past the last knot it is level.
    Fitting the folded pairs under the bound 1/2 is the same as fitting every pair both ways round,
    so it does not matter which item of a pair comes first. Sigmas are ignored.

    Args:
        distances: The knots, in log-odds, above 0 and rising, ``[K]``.
        levels: The probability at each that the item ahead is preferred, at least 1/2 and less
            than 1, not falling, ``[K]``.

    Raises:
        ConfigError: A value that is no number (code ``calibration_number``), columns that differ
            in length or are empty (``calibration_knots``), knots that do not rise, or levels that
            fall, are under 1/2 or reach 1 (``calibration_not_monotone``).

    References:
        Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability
        estimates", 2002, section 3; Ayer et al., "An empirical distribution function for sampling
        with incomplete information", 1955, for the algorithm.
    """

    kind: ClassVar[str] = "isotonic"

    distances: tuple[float, ...]
    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.distances) == len(self.levels) <= MAX_KNOTS:
            raise ConfigError(
                f"there are {len(self.distances)} distances and {len(self.levels)} levels; there "
                f"must be as many of both, and 1 to {MAX_KNOTS}",
                code="calibration_knots",
            )
        for name in ("distances", "levels"):
            for index, value in enumerate(getattr(self, name)):
                demand_number(f"{name}[{index}]", value)
        rising = bool((np.diff(self.distances, prepend=0.0) > 0.0).all())
        if not rising or (np.diff(self.levels) < 0.0).any():
            raise ConfigError(
                "distances must rise from above 0, and levels must not fall",
                code="calibration_not_monotone",
            )
        if not 0.5 <= self.levels[0] <= self.levels[-1] < 1.0:
            raise ConfigError(
                f"levels run from {self.levels[0]} to {self.levels[-1]}; they must lie in [0.5, 1)",
                code="calibration_not_monotone",
            )

    @classmethod
    def fit(cls, pairs: ScorePairs) -> Isotonic:
        """Fit by weighted least squares.

        No level is above ``(n + 1) / (n + 2)`` for ``n`` pairs: that none of them went the other
        way does not make it impossible, and a probability of 1 would be infinitely wrong once.

        Raises:
            InputError: See :mod:`librehps.calibration.evidence`.
        """
        demand_pairs(pairs, MIN_PAIRS)
        folded = pairs.folded()
        demand_differences(folded)
        # Pairs that tie are at 1/2 whatever people said: both ways round are the same pair.
        folded = folded.take((folded.difference > 0.0) & (folded.weight > 0.0))
        distances, places = np.unique(folded.difference, return_inverse=True)
        weights = np.asarray(np.bincount(places, weights=folded.weight), np.float64)
        means = np.bincount(places, weights=folded.weight * folded.target) / weights
        levels, sizes = pool_adjacent_violators(means, weights)
        levels = np.clip(levels, 0.5, (len(folded) + 1.0) / (len(folded) + 2.0))
        demand_rising(float(levels[-1]) - 0.5)
        ends = np.cumsum(sizes)
        starts = ends - sizes
        # A block is level from its first distance to its last; one of one distance has one knot.
        knots = np.stack([distances[starts], distances[ends - 1]], axis=1).ravel()
        heights = np.repeat(levels, 2)
        keep = np.diff(knots, prepend=-1.0) > 0.0
        return cls(tuple(knots[keep].tolist()), tuple(heights[keep].tolist()))

    def tail(self, distance: Numbers, spread: Numbers | None) -> Numbers:
        """Return one minus the level at ``distance``; see the base class."""
        return 1.0 - np.interp(distance, (0.0, *self.distances), (0.5, *self.levels))

    def parameters(self) -> dict[str, Any]:
        """Return ``{"distances", "levels"}``."""
        return {"distances": list(self.distances), "levels": list(self.levels)}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Isotonic:
        """Build from :meth:`parameters`; see the base class."""
        distances, levels = read_keys(parameters, ("distances", "levels"))
        return cls(_row("distances", distances), _row("levels", levels))


# Called, not written above the class: as a decorator it would hide the class's own type.
CALIBRATORS.register(Isotonic.kind)(Isotonic)


def pool_adjacent_violators(values: Numbers, weights: Numbers) -> tuple[Numbers, NDArray[np.int64]]:
    """Return the rising sequence that is nearest to ``values`` in weighted squares, as blocks.

    Args:
        values: ``[N]``.
        weights: Above 0, ``[N]``.

    Returns:
        The level of each block, rising, and how many values it holds.
    """
    blocks: list[tuple[float, float, int]] = []
    for level, weight in zip(values.tolist(), weights.tolist(), strict=True):
        merged, total, size = level, weight, 1
        while blocks and blocks[-1][0] >= merged:
            before, its_weight, its_size = blocks.pop()
            merged += (before - merged) * (its_weight / (total + its_weight))
            total += its_weight
            size += its_size
        blocks.append((merged, total, size))
    return (
        np.array([block[0] for block in blocks]),
        np.array([block[2] for block in blocks], dtype=np.int64),
    )


def _row(name: str, values: object) -> tuple[float, ...]:
    if not isinstance(values, list | tuple):
        raise ConfigError(f"{name} must be a list of numbers", code="calibration_number")
    row = cast("Sequence[object]", values)
    return tuple(demand_number(f"{name}[{index}]", value) for index, value in enumerate(row))
