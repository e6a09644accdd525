"""From two scores to the probability that a person prefers the first, and how right that is.

numpy is all that fitting and applying need; matplotlib is loaded when something is drawn.
"""

from __future__ import annotations

from librehps.calibration.beta import Beta
from librehps.calibration.bootstrap import Interval, bootstrap, bootstrap_mean
from librehps.calibration.drawing import draw_reliability
from librehps.calibration.error_interval import calibration_error_interval
from librehps.calibration.fingerprint import fingerprint
from librehps.calibration.fitted import FittedCalibrator
from librehps.calibration.io import load_calibration, load_platt_calibrator, save_calibration
from librehps.calibration.isotonic import Isotonic
from librehps.calibration.lapse import Lapse
from librehps.calibration.matching import default_calibration, load_matching
from librehps.calibration.metrics import (
    area_under_roc,
    brier_score,
    negative_log_likelihood,
    sigma_auroc,
)
from librehps.calibration.pairs import ScorePairs
from librehps.calibration.platt import Platt
from librehps.calibration.protocol import (
    CALIBRATORS,
    Calibrator,
    GaussianDifference,
    preference_probability,
)
from librehps.calibration.reliability import (
    CalibrationError,
    ReliabilityBin,
    ReliabilityDiagram,
    expected_calibration_error,
    reliability_diagram,
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
    "Lapse",
    "Beta",
    "Isotonic",
    "SigmaScale",
    "ScorePairs",
    "Calibration",
    "Fit",
    "fit_calibration",
    "default_calibration",
    "load_calibration",
    "load_matching",
    "load_platt_calibrator",
    "save_calibration",
    "fingerprint",
    "CalibrationError",
    "ReliabilityBin",
    "ReliabilityDiagram",
    "calibration_error_interval",
    "expected_calibration_error",
    "reliability_diagram",
    "brier_score",
    "negative_log_likelihood",
    "area_under_roc",
    "sigma_auroc",
    "Interval",
    "bootstrap",
    "bootstrap_mean",
    "draw_reliability",
]
