"""Calibration files by the name that evaluation knows them under; see ``librehps.calibration``."""

from __future__ import annotations

from librehps.calibration import (
    Calibration,
    fit_calibration,
    load_calibration,
    load_platt_calibrator,
    save_calibration,
)

__all__ = [
    "Calibration",
    "fit_calibration",
    "load_calibration",
    "load_platt_calibrator",
    "save_calibration",
]
