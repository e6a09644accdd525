from __future__ import annotations

import math

import pytest
import torch

from librehps.testing.tolerances import TOLERANCES, relative_rms


def test_every_limit_covers_what_was_measured() -> None:
    for name, entry in TOLERANCES.items():
        assert entry.name == name
        assert 0.0 <= entry.measured <= entry.limit, name
        assert entry.where, name


def test_relative_rms_is_scale_free() -> None:
    expected = torch.tensor([3.0, -4.0])
    assert relative_rms(expected * 1.01, expected) == pytest.approx(0.01, rel=1e-5)
    assert relative_rms(expected * 1010, expected * 1000) == pytest.approx(0.01, rel=1e-5)
    assert relative_rms(expected, expected) == 0.0


def test_relative_rms_of_zeros_is_absolute() -> None:
    assert relative_rms(torch.full((4,), 0.5), torch.zeros(4)) == pytest.approx(0.5)
    assert relative_rms(torch.zeros(0), torch.zeros(0)) == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_relative_rms_of_non_finite_never_passes(bad: float) -> None:
    assert relative_rms(torch.tensor([bad, 1.0]), torch.ones(2)) == math.inf
    assert relative_rms(torch.ones(2), torch.tensor([bad, 1.0])) == math.inf


def test_relative_rms_refuses_to_broadcast() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        relative_rms(torch.ones(2, 1), torch.ones(2))
