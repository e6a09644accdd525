"""Quantiles of Student's t distribution, without scipy."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

__all__ = ["student_quantile"]

# Enough to reach the last bit of an angle.
_HALVINGS = 60


@lru_cache(maxsize=256)
def student_quantile(tail: float, degrees: int) -> float:
    """Return the ``t`` with ``P(T > t) = tail``.

    For whole degrees of freedom ``P(|T| < t)`` is a finite sum over powers of the cosine of
    ``theta = atan(t / sqrt(degrees))``; the angle at which it has the value wanted is found by
    halving.

    Args:
        tail: In (0, 1/2].
        degrees: Degrees of freedom, at least 1.

    References:
        Abramowitz and Stegun, "Handbook of mathematical functions", 1964, equations 26.7.3 (odd)
        and 26.7.4 (even).
    """
    odd = degrees % 2
    steps = np.arange(2 + odd, degrees - 1, 2, dtype=np.float64)
    # 1, 1/2, 1/2 3/4, ... if even, 1, 2/3, 2/3 4/5, ... if odd; one degree alone has no sum.
    factors = np.concatenate([[1.0], np.cumprod((steps - 1.0) / steps)])[: max(degrees - 1, 0)]
    powers = 2.0 * np.arange(len(factors)) + odd

    def inside(angle: float) -> float:
        sine = math.sin(angle) * float(factors @ math.cos(angle) ** powers)
        return (angle + sine) * 2.0 / math.pi if odd else sine

    low, high = 0.0, 0.5 * math.pi
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if inside(middle) < 1.0 - 2.0 * tail:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(0.5 * (low + high))
