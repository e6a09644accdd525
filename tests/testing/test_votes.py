"""Votes follow the law that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from librehps.testing.votes import simulate_pairs


def test_votes_follow_the_law_of_difference_and_spread() -> None:
    pairs = simulate_pairs(
        lambda d, s: np.where(d > 0, 0.8, np.where(s > 1.5, 0.1, 0.3)), 40_000, seed=1, votes=4
    )
    assert pairs.spread is not None
    assert set((pairs.target * 4).tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}
    behind = pairs.difference < 0
    for rows, expected in (
        (~behind, 0.8),
        (behind & (pairs.spread > 1.5), 0.1),
        (behind & (pairs.spread <= 1.5), 0.3),
    ):
        assert pairs.target[rows].mean() == pytest.approx(expected, abs=0.01)


def test_scores_have_the_unit_that_is_stated_and_the_seed_decides() -> None:
    pairs = simulate_pairs(lambda d, s: 0.5 + 0.0 * d, 20_000, seed=2)
    assert pairs.difference.std() == pytest.approx(1.5 * np.sqrt(2), rel=0.03)
    again = simulate_pairs(lambda d, s: 0.5 + 0.0 * d, 20_000, seed=2)
    assert (again.target == pairs.target).all()
