"""From two scores to the probability that a person prefers the first."""

from __future__ import annotations

from librehps.calibration.protocol import (
    CALIBRATORS,
    Calibrator,
    GaussianDifference,
    preference_probability,
)

__all__ = ["CALIBRATORS", "Calibrator", "GaussianDifference", "preference_probability"]
