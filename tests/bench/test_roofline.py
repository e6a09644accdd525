"""The roof is a measurement, and the slower of the two rates bounds."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch

from librehps.bench import roofline
from librehps.bench.counts import Count
from librehps.bench.roofline import Roof, measure_roof
from librehps.bench.timing import Timing


def test_the_slower_rate_decides() -> None:
    roof = Roof("float32", bytes_per_second=1e9, operations_per_second=1e10)
    assert roof.least_ms(Count(operations=10**8, bytes=10**6)) == 10
    assert roof.least_ms(Count(operations=10**6, bytes=10**8)) == 100


def test_rates_follow_from_the_best_rounds() -> None:
    with patch.object(
        roofline, "time_calls", lambda run, device, seconds: Timing(9.0, 2.0, 10.0, 3)
    ):
        roof = measure_roof(torch.float32, torch.device("cpu"), seconds=1.0)
    # 128 MiB read and written, and a product of 1024³, both in two milliseconds.
    assert roof.bytes_per_second == pytest.approx(2 * 2**27 / 2e-3)
    assert roof.operations_per_second == pytest.approx(2 * 2**30 / 2e-3)
