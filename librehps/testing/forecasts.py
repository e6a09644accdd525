"""Forecasts of pairs that go together, with a calibration error that is known exactly."""

from __future__ import annotations

import numpy as np

from librehps.calibration import expected_calibration_error
from librehps.calibration.pairs import Numbers

__all__ = ["NUM_BINS", "VOTES", "exact_error", "simulate_forecasts"]

#: Bins of the calibration error.
NUM_BINS = 10
#: Votes for each pair.
VOTES = 3

# Differences of scores are normal with this standard deviation, and what all pairs of a prompt
# share is with 1: its nodes and weights for a mean over it.
_UNIT = 1.5
_SHARED, _MASS = np.polynomial.hermite.hermgauss(40)
_GRID = np.linspace(-6.0 * _UNIT, 6.0 * _UNIT, 20_001)


def _sigmoid(logit: Numbers) -> Numbers:
    return np.exp(-np.logaddexp(0.0, -logit))


_TRUE: Numbers = _sigmoid(_GRID[:, None] + np.sqrt(2.0) * _SHARED) @ (_MASS / _MASS.sum())


def _claim(difference: Numbers, sureness: float) -> Numbers:
    true = np.interp(difference, _GRID, _TRUE)
    return _sigmoid(sureness * np.log(true / (1.0 - true)))


def exact_error(sureness: float) -> float:
    """Return the calibration error of infinitely many pairs, by quadrature; 0 for a sureness of 1.

    Args:
        sureness: What true log-odds are multiplied by before they are stated.
    """
    weight = np.exp(-0.5 * np.square(_GRID / _UNIT))
    stated = _claim(_GRID, sureness)
    return expected_calibration_error(stated, _TRUE, weight=weight, num_bins=NUM_BINS).value


def simulate_forecasts(
    num_prompts: int, *, sureness: float, seed: int
) -> tuple[Numbers, Numbers, Numbers]:
    """Draw prompts and 1 to 8 pairs of each.

    Args:
        num_prompts: How many prompts.
        sureness: What true log-odds are multiplied by before they are stated; 1 is calibrated.
        seed: Of the draws.

    Returns:
        What is stated, the share of three votes, and the number of the prompt, each ``[N]``.
    """
    rng = np.random.default_rng(seed)
    prompt = np.repeat(np.arange(num_prompts), rng.integers(1, 9, num_prompts))
    difference = rng.normal(0.0, _UNIT, len(prompt))
    shared = rng.normal(0.0, 1.0, num_prompts)[prompt]
    target = rng.binomial(VOTES, _sigmoid(difference + shared)) / VOTES
    return _claim(difference, sureness), target, prompt.astype(np.float64)
