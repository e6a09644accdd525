"""Strengths against a general optimiser, against a simulated truth, and where there is no limit."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, special

from librehps.errors import InputError
from librehps.evaluate.bradley_terry import PRIOR_GAMES, connected_groups, fit_bradley_terry, tiers

Table = NDArray[np.float64]


def table(count: int, won: dict[tuple[int, int], float]) -> Table:
    wins = np.zeros((count, count))
    for (one, other), number in won.items():
        wins[one, other] = number
    return wins


def penalised_loss(strength: Table, wins: Table) -> float:
    """The definition, term by term."""
    total = 0.0
    for one, other in itertools.permutations(range(len(wins)), 2):
        total -= wins[one, other] * special.log_expit(strength[one] - strength[other])
    for value in strength:
        total -= PRIOR_GAMES / 2 * (special.log_expit(value) + special.log_expit(-value))
    return float(total)


def centred(strength: Table, group: NDArray[np.int64]) -> Table:
    return np.array(
        [value - strength[group == own].mean() for value, own in zip(strength, group, strict=True)]
    )


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Wins as they come: few or many, shares or whole, with holes and with one-sided pairs."""
    count = draw(st.integers(1, 6))
    numbers = st.one_of(
        st.just(0.0),
        st.integers(0, 5000).map(float),
        st.floats(0.0, 50.0),
        st.floats(1e-9, 1e7),
    )
    cells = draw(st.lists(numbers, min_size=count * count, max_size=count * count))
    wins = np.array(cells).reshape(count, count)
    np.fill_diagonal(wins, 0.0)
    return wins


@settings(max_examples=40)
@given(tables())
def test_it_is_the_optimum_that_a_general_optimiser_finds(wins: Table) -> None:
    found = fit_bradley_terry(wins)
    assert np.isfinite(found).all()
    best = optimize.minimize(
        penalised_loss, np.zeros(len(wins)), args=(wins,), method="BFGS", options={"gtol": 1e-7}
    )
    group = connected_groups(wins)
    # Where it is flat, the optimiser stops early: nothing that it finds may be better than ours.
    shift = np.array(
        [
            optimize.brentq(
                lambda moved, own=own: np.sum(special.expit(found[group == own] + moved) - 0.5),
                -200,
                200,
            )
            for own in group
        ]
    )
    assert penalised_loss(found + shift, wins) <= best.fun + 1e-9 * (1.0 + abs(best.fun))
    if wins.sum() < 500:
        np.testing.assert_allclose(found, centred(best.x, group), atol=2e-3)


@settings(max_examples=60)
@given(tables())
def test_the_order_of_players_changes_nothing(wins: Table) -> None:
    found = fit_bradley_terry(wins)
    rng = np.random.default_rng(len(wins))
    order = rng.permutation(len(wins))
    np.testing.assert_allclose(
        fit_bradley_terry(wins[np.ix_(order, order)]), found[order], atol=1e-6
    )
    # Whoever wins what the others have won has the opposite strength.
    np.testing.assert_allclose(fit_bradley_terry(wins.T), -found, atol=1e-6)
    group = connected_groups(wins)
    for own in np.unique(group):
        assert found[group == own].mean() == pytest.approx(0.0, abs=1e-9)


def test_few_games_beside_very_many_are_fitted_both_ways_round() -> None:
    # Where a step may go anywhere, the second of these finds no way back.
    wins = table(4, {(0, 2): 48293.0, (0, 3): 3949.0, (1, 3): 23.0, (2, 1): 732608.0, (3, 0): 2.0})
    found = fit_bradley_terry(wins)
    np.testing.assert_allclose(fit_bradley_terry(wins.T), -found, atol=1e-6)


def test_two_players_by_hand() -> None:
    # With the drawn games left out, 30 to 10 would be log 3; they pull it in a little.
    found = fit_bradley_terry(table(2, {(0, 1): 30.0, (1, 0): 10.0}))
    lead = found[0] - found[1]
    # The derivative, set to zero by hand: 40 sigmoid(d) - 30 + sigmoid(d / 2) - 1/2 = 0.
    assert 40 * special.expit(lead) - 30 + special.expit(lead / 2) - 0.5 == pytest.approx(
        0.0, abs=1e-9
    )
    assert 0.9 * math.log(3) < lead < math.log(3)
    many = fit_bradley_terry(table(2, {(0, 1): 3e6, (1, 0): 1e6}))
    assert many[0] - many[1] == pytest.approx(math.log(3), abs=1e-5)


@pytest.mark.parametrize("games", [3.0, 1000.0, 1e7])
def test_whoever_wins_everything_is_finite_and_first(games: float) -> None:
    won = {(0, other): games for other in range(1, 5)}
    won |= {(one, other): games / 2 for one in range(1, 5) for other in range(1, 5) if one != other}
    wins = table(5, won)
    found = fit_bradley_terry(wins)
    assert np.isfinite(found).all()
    assert found[0] > found[1:].max() + 1.0
    assert len(np.unique(tiers(wins))) == 2
    assert len(np.unique(connected_groups(wins))) == 1
    # More of the same says more.
    assert found[0] < fit_bradley_terry(10 * wins)[0]


def test_a_long_order_without_an_upset_is_found() -> None:
    count = 40
    wins = np.triu(np.full((count, count), 10_000.0), 1)
    found = fit_bradley_terry(wins)
    assert (np.diff(found) < 0.0).all()
    assert tiers(wins).tolist() == list(range(count))


@pytest.mark.parametrize("games", [1.0, 1e6])
def test_a_chain_of_the_most_players_is_found(games: float) -> None:
    # Only neighbours meet, and always with the same end: the farthest apart that there is.
    found = fit_bradley_terry(np.diag(np.full(199, games), 1))
    # One game each is no more than what is drawn: those in the middle have won half.
    assert (np.diff(found) < (1e-9 if games == 1.0 else -1.0)).all()


def test_groups_that_never_met_have_scales_of_their_own() -> None:
    wins = table(5, {(0, 1): 8.0, (1, 0): 4.0, (2, 3): 60.0, (3, 2): 30.0})
    assert connected_groups(wins).tolist() == [0, 0, 1, 1, 2]
    found = fit_bradley_terry(wins)
    assert found[4] == 0.0
    apart = fit_bradley_terry(wins[2:4, 2:4])
    np.testing.assert_allclose(found[2:4], apart, atol=1e-9)
    assert tiers(wins).tolist() == [0, 0, 1, 1, 2]


def test_tiers_are_linked_by_wins_in_both_directions() -> None:
    # 0 beats 1, 1 beats 2, 2 beats 0: one tier. 3 has only lost to it, and 4 has only won.
    wins = table(5, {(0, 1): 1.0, (1, 2): 1.0, (2, 0): 1.0, (0, 3): 2.0, (4, 1): 5.0})
    assert tiers(wins).tolist() == [0, 0, 0, 1, 2]
    # What rounding leaves of a probability of 0 is no win; a small one is.
    wins[3, 0] = 1e-12
    assert tiers(wins).tolist() == [0, 0, 0, 1, 2]
    wins[3, 0] = 1e-3
    assert tiers(wins).tolist() == [0, 0, 0, 0, 1]


def test_a_simulated_truth_is_recovered() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([1.5, 0.75, 0.0, -0.5, -1.75])
    wins = np.zeros((5, 5))
    for one, other in itertools.combinations(range(5), 2):
        won = rng.binomial(20_000, special.expit(truth[one] - truth[other]))
        wins[one, other], wins[other, one] = won, 20_000 - won
    np.testing.assert_allclose(fit_bradley_terry(wins), truth, atol=0.03)


@pytest.mark.parametrize(
    "wins",
    [
        np.zeros((0, 0)),
        np.zeros((2, 3)),
        np.zeros(4),
        np.array([[0.0, -1.0], [0.0, 0.0]]),
        np.array([[0.0, math.nan], [0.0, 0.0]]),
        np.array([[0.0, math.inf], [0.0, 0.0]]),
        np.array([[1.0, 1.0], [0.0, 0.0]]),
    ],
    ids=["empty", "oblong", "flat", "negative", "nan", "infinite", "against oneself"],
)
def test_what_is_no_table_of_wins_is_refused(wins: Table) -> None:
    for use in (fit_bradley_terry, connected_groups, tiers):
        with pytest.raises(InputError) as caught:
            use(wins)
        assert caught.value.code == "bradley_terry_wins"
