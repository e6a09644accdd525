"""The documented import path leads to the one implementation."""

from __future__ import annotations

import librehps.calibration
from librehps.evaluate import calibration


def test_names_are_those_of_the_calibration_package() -> None:
    for name in calibration.__all__:
        assert getattr(calibration, name) is getattr(librehps.calibration, name)
    assert "load_platt_calibrator" in calibration.__all__
