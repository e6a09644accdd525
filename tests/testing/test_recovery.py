"""Every calibrator finds the parameters that made 100,000 votes, within its standard error.

How far off is allowed, is a quantile of what the theory says of ten fits; the chance that a right
fit is refused is 1 in 1000 for each bound, and the seeds are fixed.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, norm

from librehps.calibration import CALIBRATORS
from librehps.calibration.fitted import FittedCalibrator
from librehps.testing.recovery import (
    CHERNOFF_EDGE,
    CURVE_POINTS,
    PARAMETRIC,
    recover,
    recover_curve,
)

FITS = 10
RARE = 0.001


def test_every_fitted_calibrator_is_looked_at() -> None:
    fitted = {name for name in CALIBRATORS if issubclass(CALIBRATORS[name], FittedCalibrator)}
    assert fitted == {*PARAMETRIC, "isotonic"}


@pytest.mark.parametrize("kind", list(PARAMETRIC))
def test_parameters_are_recovered_within_their_standard_errors(kind: str) -> None:
    fits = [recover(kind, seed=seed) for seed in range(FITS)]
    errors = np.array([fit.errors for fit in fits])
    assert np.abs(errors).max() < norm.isf(RARE / 2 / errors.size)
    # Neither further off than the standard error says, nor nearer.
    squared = sum(fit.squared for fit in fits)
    low, high = chi2.interval(1 - RARE, df=errors.size)
    assert low < squared < high
    # An error that is the same in every fit would be a bias.
    assert np.abs(errors.mean(axis=0)).max() * FITS**0.5 < norm.isf(RARE / 2 / errors.shape[1])


def test_the_curve_is_recovered_at_its_rate() -> None:
    errors = np.array([recover_curve(seed=seed) for seed in range(FITS)])
    assert errors.shape == (FITS, len(CURVE_POINTS))
    low, high = chi2.interval(1 - RARE, df=errors.size)
    # Chernoff's distribution has lighter tails than the normal one, so this is on the safe side.
    assert low < np.square(errors).sum() < high
    assert 0.85 < (np.abs(errors) < CHERNOFF_EDGE).mean() <= 1.0
    assert abs(errors.mean()) * errors.size**0.5 < norm.isf(RARE / 2)
    # With an eighth of the pairs the errors are twice as large, and as large in their own unit.
    few = np.array([recover_curve(seed=seed, count=12_500) for seed in range(FITS)])
    assert low < np.square(few).sum() < high
