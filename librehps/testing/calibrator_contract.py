"""What every registered calibrator must pass; run it over your own too."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from librehps.calibration.fitted import FittedCalibrator
from librehps.calibration.pairs import ScorePairs
from librehps.calibration.protocol import Calibrator
from librehps.errors import ConfigError
from librehps.results import AxisScore
from librehps.testing.votes import simulate_pairs

__all__ = ["check_calibrator"]

#: Differences from the smallest to more than a float holds.
_STEPS = (0.0, 5e-324, 1e-9, 1e-3, 0.1, 0.5, 1.0, 2.0, 5.0, 20.0, 40.0, 800.0, 1e6, 1e154, 1.7e308)
_SIGMAS = (0.0, 1e-300, 0.3, 2.0, 1.7e308)
# Neighbouring doubles of the same probability; a curve that rises may tremble by so much.
_ROUNDING = 1e-15


def _demand(condition: bool, sentence: str) -> None:
    if not condition:
        raise AssertionError(sentence)


def check_calibrator(calibrator_type: type[Any], *, kind: str) -> None:
    """Check a calibrator: range, antisymmetry, rising, extreme scores, and for fitted ones the fit.

    Args:
        calibrator_type: The class that is registered: a ``Calibrator`` that is built without
            arguments, or a ``FittedCalibrator``.
        kind: The name it is registered under.

    Raises:
        AssertionError: It breaks the contract; the sentence says how.
    """
    if not issubclass(calibrator_type, FittedCalibrator):
        calibrator = calibrator_type()
        _demand(isinstance(calibrator, Calibrator), "it has a method probability")
        _check_probabilities(calibrator)
        return
    pairs = _pairs()
    fitted = calibrator_type.fit(pairs)
    _demand(fitted.kind == kind, f"its kind is {fitted.kind!r}, not {kind!r}")
    _check_probabilities(fitted)
    _check_columns(fitted)
    _check_fit(fitted, pairs)
    _check_parameters(fitted)


def _pairs() -> ScorePairs:
    """Return pairs with votes from a logistic curve of half the difference, and sigmas."""
    return simulate_pairs(lambda d, _: 1.0 / (1.0 + np.exp(-0.5 * d)), 4000, seed=0, votes=3)


def _check_probabilities(calibrator: Any) -> None:
    for sigma_a in _SIGMAS:
        for sigma_b in _SIGMAS:
            before = 0.5
            for step in _STEPS:
                high, low = AxisScore(step, sigma_a), AxisScore(-step, sigma_b)
                ahead = calibrator.probability(high, low)
                behind = calibrator.probability(low, high)
                where = f"at means of ±{step} with sigmas {sigma_a} and {sigma_b}"
                _demand(0.0 <= ahead <= 1.0, f"{where}, {ahead} is no probability")
                _demand(
                    ahead + behind == 1.0,
                    f"{where}, both ways round add up to {ahead + behind!r}, not to 1",
                )
                _demand(ahead >= before - _ROUNDING, f"{where}, it falls from {before} to {ahead}")
                before = ahead
            same = calibrator.probability(AxisScore(1.5, sigma_a), AxisScore(1.5, sigma_b))
            _demand(same == 0.5, f"equal means give {same}, not 1/2")


def _check_columns(fitted: FittedCalibrator) -> None:
    """Demand that many pairs at a time get what each gets alone."""
    difference = np.array([sign * step for step in _STEPS for sign in (1.0, -1.0)])
    spread = np.full(len(difference), np.hypot(0.3, 0.4))
    many = fitted.probabilities(difference, spread)
    _demand(many.shape == difference.shape, f"{len(difference)} pairs give shape {many.shape}")
    alone = [
        fitted.probability(AxisScore(value, 0.3), AxisScore(0.0, 0.4))
        for value in difference.tolist()
    ]
    _demand(many.tolist() == alone, "a pair among others gets another probability than alone")
    _demand(len(fitted.probabilities(np.empty(0), np.empty(0))) == 0, "no pairs give no rows")


def _check_fit(fitted: FittedCalibrator, pairs: ScorePairs) -> None:
    """Demand that a fit is better than a coin, ignores its unit of weight, and reads weights."""
    loss = float(np.square(fitted.of_pairs(pairs) - pairs.target).mean())
    coin = float(np.square(0.5 - pairs.target).mean())
    _demand(loss < coin, f"fitted, its Brier score is {loss}; a coin's is {coin}")
    heavy = ScorePairs(pairs.difference, pairs.target, 64.0 * pairs.weight, pairs.spread)
    again = type(fitted).fit(heavy).of_pairs(pairs)
    _demand(
        bool(np.allclose(again, fitted.of_pairs(pairs), atol=1e-9)),
        "weights that are all 64 change the fit",
    )
    half = len(pairs) // 2
    rows = np.arange(len(pairs)) < half
    zeroed = ScorePairs(pairs.difference, pairs.target, rows.astype(np.float64), pairs.spread)
    first, alone = type(fitted).fit(zeroed), type(fitted).fit(pairs.take(rows))
    _demand(
        bool(np.allclose(first.of_pairs(pairs), alone.of_pairs(pairs), atol=1e-9)),
        "pairs with a weight of 0 change the fit",
    )


def _check_parameters(fitted: FittedCalibrator) -> None:
    """Demand that JSON holds all of it, and that keys are read strictly."""
    parameters = json.loads(json.dumps(fitted.parameters(), allow_nan=False))
    again = type(fitted).from_parameters(parameters)
    grid = np.linspace(-30.0, 30.0, 601)
    spread = np.ones(len(grid))
    same = bool((again.probabilities(grid, spread) == fitted.probabilities(grid, spread)).all())
    _demand(same, "what was saved and loaded gives other probabilities")
    broken = [{**parameters, "beyond": 1.0}]
    for name in parameters:
        broken.append({key: value for key, value in parameters.items() if key != name})
        broken += [{**parameters, name: value} for value in (float("nan"), "1", None, True)]
    for case in broken:
        try:
            type(fitted).from_parameters(case)
        except ConfigError:
            continue
        raise AssertionError(f"parameters that make no sense are taken: {case}")
