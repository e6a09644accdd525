"""How far fitted parameters are from those that made the votes, in their standard errors.

A fit by maximum likelihood is off by a normal variable with the inverse of the Fisher information
as its covariance. So an error in standard errors is a standard normal variable, and the squared
error in the metric of the information is a chi-square one with as many degrees of freedom as there
are parameters: too great if the fit is wrong, too small if the standard error is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from librehps.calibration.isotonic import Isotonic
from librehps.calibration.normal import normal_tail
from librehps.calibration.pairs import Numbers, ScorePairs
from librehps.calibration.protocol import CALIBRATORS
from librehps.testing.votes import simulate_pairs

__all__ = [
    "CHERNOFF_EDGE",
    "CURVE_POINTS",
    "PARAMETRIC",
    "Recovery",
    "recover",
    "recover_curve",
]

#: From parameters, differences and spreads to the probability of a vote for ``a``.
ParametricLaw: TypeAlias = Callable[[Numbers, Numbers, Numbers], Numbers]


@dataclass(frozen=True, eq=False)
class Recovery:
    """The error of one fit.

    Args:
        names: Of the parameters, ``P`` of them.
        errors: Found less true, in standard errors, ``[P]``.
        squared: Squared error in the metric of the Fisher information; chi-square with ``P``
            degrees of freedom.
    """

    names: tuple[str, ...]
    errors: Numbers
    squared: float


def _sigmoid(logit: Numbers) -> Numbers:
    return np.exp(-np.logaddexp(0.0, -logit))


def _beta(v: Numbers, d: Numbers, s: Numbers) -> Numbers:
    return _sigmoid(v[1] * np.logaddexp(0.0, d) - v[0] * np.logaddexp(0.0, -d) + v[2])


#: True parameters and the law of the votes, by the kind of the calibrator that knows the law.
PARAMETRIC: dict[str, tuple[dict[str, float], ParametricLaw]] = {
    "temperature": ({"temperature": 1.7}, lambda v, d, s: _sigmoid(d / v[0])),
    "platt": ({"a": 0.8, "b": 0.4}, lambda v, d, s: _sigmoid(v[0] * d + v[1])),
    "lapse": (
        {"slope": 1.2, "lapse": 0.1},
        lambda v, d, s: 0.5 * v[1] + (1.0 - v[1]) * _sigmoid(v[0] * d),
    ),
    "beta": ({"a": 0.6, "b": 1.2, "c": 0.1}, _beta),
    "sigma_scale": ({"scale": 1.5}, lambda v, d, s: normal_tail(-d / (v[0] * s))),
}


def recover(kind: str, *, seed: int, count: int = 100_000) -> Recovery:
    """Draw pairs by the law of a kind of calibrator, fit it, and return how far off it is.

    Args:
        kind: A key of ``PARAMETRIC``.
        seed: Of the pairs.
        count: Pairs to draw, one vote each.
    """
    truth, law = PARAMETRIC[kind]
    names, true = tuple(truth), np.array(list(truth.values()))
    pairs = simulate_pairs(lambda d, s: law(true, d, s), count, seed=seed)
    found = cast("Any", CALIBRATORS[kind]).fit(pairs).parameters()
    information = _information(law, true, pairs)
    off = np.array([found[name] for name in names]) - true
    errors = off / np.sqrt(np.diag(np.linalg.inv(information)))
    return Recovery(names, errors, float(off @ information @ off))


def _information(law: ParametricLaw, true: Numbers, pairs: ScorePairs) -> Numbers:
    """Return the Fisher information of votes, by differences of the law, ``[P, P]``."""
    assert pairs.spread is not None
    step = 1e-5
    slopes = np.stack(
        [
            (
                law(true + step * one, pairs.difference, pairs.spread)
                - law(true - step * one, pairs.difference, pairs.spread)
            )
            / (2.0 * step)
            for one in np.eye(len(true))
        ]
    )
    chance = law(true, pairs.difference, pairs.spread)
    variance = chance * (1.0 - chance)
    # A vote that is certain tells nothing.
    told = np.divide(slopes, variance, out=np.zeros_like(slopes), where=variance > 0.0)
    information: Numbers = told @ slopes.T
    return information


#: Where a curve is compared; far enough apart that its errors there are independent.
CURVE_POINTS = np.array([0.3, 0.6, 0.9, 1.2, 1.5, 1.8])
#: 95 % of Chernoff's distribution in its standard deviation: 0.998181 / 0.513365.
CHERNOFF_EDGE = 0.998181 / 0.513365


def recover_curve(*, seed: int, count: int = 100_000) -> Numbers:
    """Draw pairs by a curve that is no logistic one, fit it, and return the errors at points.

    Isotonic regression nears the truth at the rate of the cube root of the number of pairs; the
    error is ``2 (F (1 - F) F' / (2 g count))^(1/3)`` times a variable with Chernoff's
    distribution, with the curve ``F`` and the density ``g`` of absolute differences.

    Args:
        seed: Of the pairs.
        count: Pairs to draw, one vote each.

    Returns:
        Found less true at ``CURVE_POINTS``, in standard deviations, ``[K]``.

    References:
        Groeneboom and Wellner, "Information bounds and nonparametric maximum likelihood
        estimation", 1992, theorem 5.1; Groeneboom and Wellner, "Computing Chernoff's
        distribution", 2001, for its quantiles and its variance.
    """
    pairs = simulate_pairs(lambda d, s: _curve(d), count, seed=seed)
    x = CURVE_POINTS
    true, slope = _curve(x), 0.63 * np.exp(-1.5 * x)
    # Differences of means with a standard deviation of 1.5 each, folded at 0.
    unit = 1.5 * np.sqrt(2.0)
    density = 2.0 * np.exp(-0.5 * np.square(x / unit)) / (unit * np.sqrt(2.0 * np.pi))
    scale = 2.0 * np.cbrt(true * (1.0 - true) * slope / (2.0 * density * count))
    found = Isotonic.fit(pairs).probabilities(x)
    return (found - true) / (scale * 0.513365)


def _curve(d: Numbers) -> Numbers:
    """Steep at first, then level."""
    return 0.5 + np.sign(d) * 0.42 * (1.0 - np.exp(-1.5 * np.abs(d)))
