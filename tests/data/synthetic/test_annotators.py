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
    noise_of,
    vote_probability,
)
from librehps.errors import ConfigError


@given(difference=st.floats(-50, 50), num_objects=st.integers(1, 4), clutter=st.floats(1, 9))
def test_both_ways_round_add_up_to_one(difference: float, num_objects: int, clutter: float) -> None:
    there = vote_probability(difference, num_objects=num_objects, clutter=clutter)
    back = vote_probability(-difference, num_objects=num_objects, clutter=clutter)
    assert there + back == pytest.approx(1.0, abs=1e-12)
    assert (there >= 0.5) == (difference >= 0) or abs(difference) < 1e-12


def test_the_probability_is_what_the_habits_say() -> None:
    one = Annotator(reliability=2.0, lapse=0.1)
    sure = 1 / (1 + math.exp(-2.0 * 0.7))
    assert one.probability(0.7) == pytest.approx(0.05 + 0.9 * sure)
    # With twice the noise, twice the difference looks the same.
    assert one.probability(1.4, noise=2.0) == pytest.approx(0.05 + 0.9 * sure)
    assert Annotator(reliability=2.0, lapse=1.0).probability(9.0) == 0.5


def test_each_object_beyond_the_first_widens_the_noise() -> None:
    assert [noise_of(count) for count in (1, 2, 3, 4)] == [1.0, 3.0, 9.0, 27.0]
    assert noise_of(4, clutter=1.0) == 1.0
    votes = [vote_probability(3.0, num_objects=count) for count in (1, 2, 3, 4)]
    assert votes == sorted(votes, reverse=True)
    assert votes[0] > 0.97
    assert votes[3] < 0.6
    # As much to see in nine times the noise is the same vote.
    assert vote_probability(9.0, num_objects=3) == pytest.approx(vote_probability(1.0))
    assert vote_probability(1.0, num_objects=3, clutter=1.0) == vote_probability(1.0)


def test_votes_drawn_from_the_panel_have_the_mean_that_is_stated() -> None:
    rng = np.random.default_rng(0)
    difference, count = 0.9, 200_000
    # Each vote the long way: who votes, whether they look, what they then see.
    chosen = rng.integers(len(PANEL), size=count)
    lapses = np.array([one.lapse for one in PANEL])[chosen]
    slopes = np.array([one.reliability / 3.0 for one in PANEL])[chosen]
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


def test_majorities_of_thousands_are_counted_too() -> None:
    won, tied = majority_probability(0.5, 2000)
    assert tied == pytest.approx(math.comb(2000, 1000) / 2**2000, rel=1e-10)
    assert 2 * won + tied == pytest.approx(1.0, abs=1e-11)
    assert majority_probability(0.9, 20_001) == pytest.approx((1.0, 0.0), abs=1e-9)


def test_whoever_sees_nothing_votes_at_random() -> None:
    for difference in (math.inf, -math.inf, 1e308):
        assert Annotator(reliability=0.0, lapse=0.1).probability(difference) == 0.5
    assert Annotator(reliability=1.0, lapse=0.1).probability(math.inf) == pytest.approx(0.95)


def test_what_nobody_can_judge_is_refused() -> None:
    for ask in (
        lambda: vote_probability(1.0, panel=[]),
        lambda: vote_probability(1.0, num_objects=0),
        lambda: vote_probability(1.0, num_objects=1000),
        lambda: noise_of(2, clutter=0.5),
        lambda: PANEL[0].probability(math.nan),
        lambda: PANEL[0].probability(1.0, noise=0.0),
        lambda: majority_probability(0.5, 0),
        lambda: majority_probability(1.5, 3),
    ):
        with pytest.raises(ConfigError) as caught:
            ask()
        assert caught.value.code == "annotator_value"


def test_habits_out_of_range_are_refused() -> None:
    for reliability, lapse in ((-1.0, 0.0), (math.inf, 0.0), (1.0, 1.5), (math.nan, 0.0)):
        with pytest.raises(ConfigError, match="reliability"):
            Annotator(reliability=reliability, lapse=lapse)
