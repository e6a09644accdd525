"""Quantiles agree with scipy's, from one degree of freedom to very many."""

from __future__ import annotations

import pytest
from scipy.stats import norm, t

from librehps.calibration.student import student_quantile


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 10, 49, 1000, 20_001])
@pytest.mark.parametrize("tail", [0.5, 0.3, 0.025, 0.0005])
def test_quantiles_are_scipys(tail: float, degrees: int) -> None:
    found = student_quantile(tail, degrees)
    assert found == pytest.approx(t.isf(tail, degrees), rel=1e-9, abs=1e-9)


def test_many_degrees_of_freedom_are_the_normal_distribution() -> None:
    assert student_quantile(0.025, 100_000) == pytest.approx(norm.isf(0.025), rel=2e-5)
