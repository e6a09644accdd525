"""The upper tail of the normal distribution and its logarithm, for arrays, however far out."""

from __future__ import annotations

import math

import numpy as np

from librehps.calibration.pairs import Numbers

__all__ = ["hazard", "log_normal_tail", "normal_tail"]

# From here on the tail's expansion is right to 2e-10, and erfc has not yet run out of exponents.
_FAR = 30.0
_LOG_ROOT_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def normal_tail(distance: Numbers) -> Numbers:
    """Return ``P(z > distance)`` for a standard normal ``z``, ``[N]``; 0 at infinity."""
    return 0.5 * np.fromiter(map(math.erfc, distance / math.sqrt(2.0)), np.float64, len(distance))


def log_normal_tail(distance: Numbers) -> Numbers:
    """Return ``log P(z > distance)`` in nats, ``[N]``, finite for finite distances below 1e150.

    Far out it is ``-x²/2 - log(x sqrt(2 pi)) + log(1 - 1/x² + 3/x⁴ - 15/x⁶)``.

    References:
        Abramowitz and Stegun, "Handbook of mathematical functions", 1964, equation 26.2.12.
    """
    small = normal_tail(np.minimum(np.abs(distance), _FAR))
    near = np.where(distance < 0.0, np.log1p(-small), np.log(small))
    out = np.maximum(distance, _FAR)
    inverse = 1.0 / np.square(out)
    series = np.log1p(-inverse * (1.0 - 3.0 * inverse * (1.0 - 5.0 * inverse)))
    far = -0.5 * np.square(out) - np.log(out) - _LOG_ROOT_TWO_PI + series
    return np.where(distance < _FAR, near, far)


def hazard(distance: Numbers) -> Numbers:
    """Return the density over the tail, ``phi(x) / P(z > x)``, ``[N]``; near ``x`` far out."""
    log_density = -0.5 * np.square(distance) - _LOG_ROOT_TWO_PI
    return np.exp(log_density - log_normal_tail(distance))
