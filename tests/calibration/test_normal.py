"""The normal tail agrees with scipy, also far beyond where a float has room for it."""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr
from scipy.stats import norm

from librehps.calibration.normal import hazard, log_normal_tail, normal_tail

GRID = np.concatenate([np.linspace(-45, 45, 3601), [29.999999, 30.0, 30.000001, 1e3, 1e5, -1e5]])


def test_the_tail_is_scipys() -> None:
    near = GRID[GRID < 35]
    np.testing.assert_allclose(normal_tail(near), norm.sf(near), rtol=1e-12)
    assert normal_tail(np.array([np.inf, -np.inf])).tolist() == [0.0, 1.0]


def test_the_logarithm_is_scipys_far_out() -> None:
    np.testing.assert_allclose(log_normal_tail(GRID), log_ndtr(-GRID), rtol=1e-12, atol=1e-190)


def test_the_hazard_is_the_slope_of_the_logarithm() -> None:
    grid = np.linspace(-5, 60, 200)
    step = 1e-5
    slope = (log_normal_tail(grid - step) - log_normal_tail(grid + step)) / (2 * step)
    np.testing.assert_allclose(hazard(grid), slope, rtol=1e-6, atol=1e-9)
    # Mills' bounds: x < h(x) < x + 1/x.
    far = np.array([31.0, 100.0, 1e4])
    assert (hazard(far) > far * (1 - 1e-9)).all()
    assert (hazard(far) < (far + 1 / far) * (1 + 1e-9)).all()
