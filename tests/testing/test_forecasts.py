"""The exact error is that of very many pairs, and what is stated is what is true on average."""

from __future__ import annotations

import numpy as np
import pytest

from librehps.calibration import expected_calibration_error
from librehps.testing.forecasts import NUM_BINS, exact_error, simulate_forecasts


@pytest.mark.parametrize("sureness", [0.6, 1.3, 2.0])
def test_the_exact_error_is_that_of_many_pairs(sureness: float) -> None:
    stated, share, _ = simulate_forecasts(200_000, sureness=sureness, seed=1)
    found = expected_calibration_error(stated, share, num_bins=NUM_BINS)
    assert found.value == pytest.approx(exact_error(sureness), abs=0.0015)
    assert exact_error(sureness) > 0.03


def test_a_sureness_of_one_is_calibrated() -> None:
    assert exact_error(1.0) < 1e-9
    stated, share, prompt = simulate_forecasts(100_000, sureness=1.0, seed=2)
    assert abs(float((stated - share).mean())) < 0.002
    # Pairs of a prompt are off together.
    sums = np.bincount(prompt.astype(np.int64), weights=stated - share)
    assert np.square(sums).sum() > 1.3 * np.square(stated - share).sum()
