from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from librehps.data.synthetic.annotators import (
    PANEL,
    Annotator,
    majority_probability,
    vote_probability,
)
from librehps.errors import ConfigError


@given(difference=st.floats(-50, 50), num_objects=st.integers(1, 4))
def test_both_ways_round_add_up_to_one(difference: float, num_objects: int) -> None:
    there = vote_probability(difference, num_objects=num_objects)
    back = vote_probability(-difference, num_objects=num_objects)
    assert there + back == pytest.approx(1.0, abs=1e-12)
    assert (there >= 0.5) == (difference >= 0) or abs(difference) < 1e-12


def test_the_probability_is_what_the_habits_say() -> None:
    one = Annotator(reliability=2.0, lapse=0.1)
    sure = 1 / (1 + math.exp(-2.0 * 0.7))
    assert one.probability(0.7) == pytest.approx(0.05 + 0.9 * sure)
    # Two more objects: 8 % more lapses.
    assert one.probability(0.7, num_objects=3) == pytest.approx(0.09 + 0.82 * sure)
    assert Annotator(reliability=2.0, lapse=1.0).probability(9.0, num_objects=4) == 0.5


def test_more_to_look_at_makes_votes_less_sure() -> None:
    votes = [vote_probability(3.0, num_objects=count) for count in (1, 2, 3, 4)]
    assert votes == sorted(votes, reverse=True)
    assert votes[0] - votes[3] > 0.02


def test_votes_drawn_from_the_panel_have_the_mean_that_is_stated() -> None:
    rng = np.random.default_rng(0)
    difference, count = 0.9, 200_000
    # Each vote the long way: who votes, whether they look, what they then see.
    chosen = rng.integers(len(PANEL), size=count)
    lapses = np.array([one.lapse + 0.04 for one in PANEL])[chosen]
    slopes = np.array([one.reliability for one in PANEL])[chosen]
    looked = rng.random(count) >= lapses
    sees_a = rng.random(count) < 1 / (1 + np.exp(-slopes * difference))
    votes = np.where(looked, sees_a, rng.random(count) < 0.5)
    stated = vote_probability(difference, num_objects=2)
    assert votes.mean() == pytest.approx(stated, abs=4 * 0.5 / math.sqrt(count))


@pytest.mark.parametrize("votes", [1, 2, 5, 6, 19])
@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_majorities_are_counted_right(votes: int, probability: float) -> None:
    won, tied = majority_probability(probability, votes)
    lost, tied_too = majority_probability(1 - probability, votes)
    assert won + lost + tied == pytest.approx(1.0)
    assert tied == pytest.approx(tied_too, abs=1e-12)
    assert votes % 2 == 0 or tied == 0
    if votes == 1:
        assert won == pytest.approx(probability)


def test_habits_out_of_range_are_refused() -> None:
    for reliability, lapse in ((-1.0, 0.0), (math.inf, 0.0), (1.0, 1.5), (math.nan, 0.0)):
        with pytest.raises(ConfigError, match="reliability"):
            Annotator(reliability=reliability, lapse=lapse)
