"""Damped Newton for smooth convex functions of a few parameters, and logistic regression by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from librehps.calibration.pairs import Numbers
from librehps.errors import InputError

__all__ = ["Objective", "logistic_regression", "minimise"]

#: From parameters ``[F]`` to the value, the gradient ``[F]`` and the Hessian ``[F, F]``.
Objective: TypeAlias = Callable[[Numbers], tuple[float, Numbers, Numbers]]

_MAX_STEPS = 100
_MAX_HALVINGS = 50
# The squared Newton decrement, twice the distance to the minimum in the objective's own unit.
# A full step from here lands within rounding, as the error of Newton's method squares itself.
_CLOSE = 1e-12
# No step takes a parameter further than this and the largest that there is. Where the curvature
# fades, Newton's step else leads to where nothing bends any more, and the way back is lost.
_REACH = 2.0
# Share of the fall promised by the slope that a step must bring (Armijo).
_SUFFICIENT = 1e-4


def minimise(objective: Objective, start: Numbers) -> Numbers:
    """Return where a strictly convex function is least.

    Newton's step is halved until the function falls, which it does in the end for a convex
    function, from any start. One that only nears its bound, as the loss of data that can be
    parted, may pass for one whose minimum is far away: refuse such data first.

    Args:
        objective: A mean over pairs, so that its values are of the order of 1.
        start: Where to begin, ``[F]``.

    Returns:
        The parameters, ``[F]``.

    Raises:
        InputError: No minimum was found, as where there is none or it is not unique (code
            ``calibration_no_convergence``).

    References:
        Boyd and Vandenberghe, "Convex Optimization", 2004, algorithm 9.5.
    """
    parameters = start
    value, gradient, hessian = objective(parameters)
    for _ in range(_MAX_STEPS):
        try:
            step = -np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError:
            break
        decrement = -float(gradient @ step)
        if not 0.0 <= decrement < np.inf:
            break
        if decrement <= _CLOSE:
            return parameters + step
        reach = _REACH + float(np.abs(parameters).max())
        size = min(1.0, reach / float(np.abs(step).max()))
        for _ in range(_MAX_HALVINGS):
            found = objective(parameters + size * step)
            if found[0] <= value - _SUFFICIENT * size * decrement:
                break
            size /= 2.0
        else:
            break
        parameters = parameters + size * step
        value, gradient, hessian = found
    raise InputError(
        "the fit found no best parameters; give more pairs, or a calibrator with fewer parameters",
        code="calibration_no_convergence",
    )


def logistic_regression(features: Numbers, target: Numbers, weight: Numbers) -> Numbers:
    """Fit ``P = sigmoid(features @ parameters)`` by maximum likelihood.

    Minimises the weighted mean of ``-y log P - (1 - y) log(1 - P)``; targets may be shares.

    Args:
        features: ``[N, F]``; no column is all zeros.
        target: In [0, 1], ``[N]``.
        weight: Not negative, ``[N]``.

    Returns:
        The parameters, ``[F]``.

    Raises:
        InputError: See :func:`minimise`.
    """
    share = weight / weight.sum()
    # In units of its own size, every column is as steep as the others; scores may come in any unit.
    scale = np.abs(features).max(axis=0)
    scaled = features / scale

    def objective(parameters: Numbers) -> tuple[float, Numbers, Numbers]:
        logit = scaled @ parameters
        # log(1 + e^x) - y x is -y log P - (1 - y) log(1 - P), without overflow.
        loss = np.logaddexp(0.0, logit) - target * logit
        probability = np.exp(-np.logaddexp(0.0, -logit))
        curvature = share * probability * np.exp(-np.logaddexp(0.0, logit))
        gradient = scaled.T @ (share * (probability - target))
        return float(share @ loss), gradient, scaled.T @ (scaled * curvature[:, None])

    return minimise(objective, np.zeros(features.shape[1])) / scale
