"""From two scores to the probability that a person prefers the first.

numpy is all that fitting and applying need.
"""

from __future__ import annotations

from librehps.calibration.beta import Beta
from librehps.calibration.fingerprint import fingerprint
from librehps.calibration.fitted import FittedCalibrator
from librehps.calibration.io import load_calibration, load_platt_calibrator, save_calibration
from librehps.calibration.isotonic import Isotonic
from librehps.calibration.pairs import ScorePairs
from librehps.calibration.platt import Platt
from librehps.calibration.protocol import (
    CALIBRATORS,
    Calibrator,
    GaussianDifference,
    preference_probability,
)
from librehps.calibration.sigma_scale import SigmaScale
from librehps.calibration.table import Calibration, Fit, fit_calibration
from librehps.calibration.temperature import Temperature

__all__ = [
    "CALIBRATORS",
    "Calibrator",
    "GaussianDifference",
    "preference_probability",
    "FittedCalibrator",
    "Temperature",
    "Platt",
    "Beta",
    "Isotonic",
    "SigmaScale",
    "ScorePairs",
    "Calibration",
    "Fit",
    "fit_calibration",
    "load_calibration",
    "load_platt_calibrator",
    "save_calibration",
    "fingerprint",
]
