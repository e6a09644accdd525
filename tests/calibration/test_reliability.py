"""Calibration errors against their definition, an exact value, and chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve

from librehps.calibration import (
    bootstrap,
    expected_calibration_error,
    reliability_diagram,
)
from librehps.calibration.reliability import Binned
from librehps.errors import ConfigError, InputError

probabilities = st.floats(0.0, 1.0)
rows = st.lists(st.tuples(probabilities, probabilities), min_size=1, max_size=30)


def columns(given_rows: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    stated, true = zip(*given_rows, strict=True)
    return np.array(stated), np.array(true)


@given(rows, st.integers(1, 12))
def test_equal_width_is_its_definition(given_rows: list[Any], num_bins: int) -> None:
    gaps = dict.fromkeys(range(num_bins), 0.0)
    for stated, true in given_rows:
        gaps[min(int(stated * num_bins), num_bins - 1)] += stated - true
    expected = sum(abs(gap) for gap in gaps.values()) / len(given_rows)
    found = expected_calibration_error(*columns(given_rows), num_bins=num_bins)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.name == f"ece_preference_{num_bins}_equal_width"
    assert found.to_dict() == {
        found.name: found.value,
        f"{found.name}_by_chance": found.by_chance,
        "num_pairs": len(given_rows),
    }


@pytest.mark.parametrize(("binning", "strategy"), [("width", "uniform"), ("mass", "quantile")])
@pytest.mark.parametrize("seed", range(3))
def test_diagrams_are_those_of_scikit_learn(binning: Any, strategy: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # No two are equal, so that bins of equal mass can be cut in one way only.
    stated = rng.beta(2.0, 1.3, 600)
    won = (rng.random(600) < stated**1.3) * 1.0
    diagram = reliability_diagram(stated, won, binning=binning, num_bins=12)
    observed, confidence = calibration_curve(won, stated, n_bins=12, strategy=strategy)
    assert [one.observed for one in diagram.bins] == pytest.approx(observed.tolist(), abs=1e-12)
    assert [one.confidence for one in diagram.bins] == pytest.approx(confidence.tolist(), abs=1e-12)
    gaps = np.abs(observed - confidence)
    error = expected_calibration_error(stated, won, binning=binning, num_bins=12)
    assert error.value == pytest.approx(gaps @ [one.share for one in diagram.bins], abs=1e-12)


@given(rows)
def test_the_winners_error_is_that_of_every_pair_both_ways_round(given_rows: list[Any]) -> None:
    # Bins over [0.5, 1] for the winner are the upper half of twice as many for the preference;
    # what lies on an edge is rounded to one side, so such pairs are moved off it.
    stated, true = columns([(p * 0.98 + 0.0101, y) for p, y in given_rows])
    winner = expected_calibration_error(stated, true, quantity="winner", num_bins=5)
    both = expected_calibration_error(
        np.concatenate([stated, 1 - stated]), np.concatenate([true, 1 - true]), num_bins=10
    )
    assert winner.name == "ece_winner_5_equal_width"
    if not np.isclose(np.concatenate([stated, 1 - stated]) * 10 % 1, 0.0, atol=1e-9).any():
        assert winner.value == pytest.approx(both.value, abs=1e-9)


@given(rows, st.integers(1, 6))
def test_bins_of_equal_mass_hold_every_pair_once(given_rows: list[Any], num_bins: int) -> None:
    stated, true = columns(given_rows)
    found = reliability_diagram(stated, true, binning="mass", num_bins=num_bins)
    assert sum(part.count for part in found.bins) == len(stated)
    assert sum(part.share for part in found.bins) == pytest.approx(1.0)
    for part in found.bins:
        assert part.low - 1e-12 <= part.confidence <= part.high + 1e-12
    gaps = sum(part.share * abs(part.confidence - part.observed) for part in found.bins)
    assert found.error.value == pytest.approx(gaps, abs=1e-12)


def test_bins_of_equal_mass_are_equal_where_nothing_repeats() -> None:
    stated = np.random.default_rng(0).permutation(np.linspace(0.01, 0.99, 60))
    found = reliability_diagram(stated, stated, binning="mass", num_bins=6)
    assert [part.count for part in found.bins] == [10] * 6
    weight = np.where(stated < 0.5, 2.0, 1.0)
    found = reliability_diagram(stated, stated, weight=weight, binning="mass", num_bins=3)
    assert [round(part.share, 6) for part in found.bins] == [round(1 / 3, 6)] * 3


UNIT = 1.5
EDGES = np.linspace(0.0, 1.0, 11)


def truth(d: Any) -> Any:
    return expit(0.6 * d)


def claim(d: Any) -> Any:
    """A scorer that is too sure."""
    return expit(1.3 * d)


def exact(edges: Any, *, winner: bool) -> float:
    """Return the error of infinitely many pairs whose difference is normal, by quadrature."""
    grid = np.linspace(-6 * UNIT, 6 * UNIT, 400_001)
    mass = np.exp(-0.5 * np.square(grid / UNIT))
    stated, true = claim(grid), truth(grid)
    if winner:
        turned = stated < 0.5
        stated, true = np.where(turned, 1 - stated, stated), np.where(turned, 1 - true, true)
    place = np.clip(np.searchsorted(edges, stated, side="right") - 1, 0, len(edges) - 2)
    return float(np.abs(np.bincount(place, weights=mass * (stated - true))).sum() / mass.sum())


def judged(seed: int, count: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    difference = rng.normal(0, UNIT, count)
    return claim(difference), rng.binomial(1, truth(difference)) * 1.0


@pytest.mark.parametrize("quantity", ["preference", "winner"])
@pytest.mark.parametrize("binning", ["width", "mass"])
def test_the_error_of_100000_pairs_is_the_exact_one(quantity: Any, binning: Any) -> None:
    stated, votes = judged(0, 100_000)
    choice: dict[str, Any] = {"quantity": quantity, "binning": binning, "num_bins": 10}
    interval = bootstrap(
        lambda rows: expected_calibration_error(stated[rows], votes[rows], **choice).value,
        len(votes),
        resamples=60,
    )
    parts = reliability_diagram(stated, votes, **choice).bins
    expected = exact(np.array([*(part.low for part in parts), 1.0]), winner=quantity == "winner")
    assert expected > 0.08
    assert interval.low < expected < interval.high
    assert interval.high - interval.low < 0.02


def test_the_error_is_right_on_average() -> None:
    found = [
        expected_calibration_error(*judged(seed, 20_000), num_bins=10).value for seed in range(200)
    ]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - exact(EDGES, winner=False)) < 2.5 * error + 1e-4


@pytest.mark.slow
def test_intervals_of_the_error_hold_the_truth_as_often_as_they_say() -> None:
    expected, hits = exact(EDGES, winner=False), 0
    for seed in range(300):
        stated, votes = judged(seed, 5000)

        def error(rows: Any, stated: Any = stated, votes: Any = votes) -> float:
            return expected_calibration_error(stated[rows], votes[rows], num_bins=10).value

        interval = bootstrap(error, len(votes), resamples=200, seed=seed)
        hits += interval.low <= expected <= interval.high
    assert 0.93 <= hits / 300 <= 0.97


def test_chance_alone_gives_what_it_says() -> None:
    rng = np.random.default_rng(4)
    found: list[float] = []
    said: list[float] = []
    for _ in range(300):
        stated = expit(rng.normal(0, 1.5, 780))
        error = expected_calibration_error(stated, rng.binomial(1, stated) * 1.0)
        found.append(error.value)
        said.append(error.by_chance)
    assert np.mean(found) == pytest.approx(np.mean(said), rel=0.03)
    # So much a perfect scorer shows on the 780 pairs of a small benchmark.
    assert 0.03 < np.mean(said) < 0.06


def test_chance_is_less_for_shares_of_many_votes_and_more_for_pairs_that_go_together() -> None:
    rng = np.random.default_rng(5)
    prompt = np.repeat(np.arange(200), 4)
    found: dict[str, list[float]] = {"shares": [], "together": []}
    said: dict[str, list[float]] = {"shares": [], "together": [], "apart": []}
    for _ in range(300):
        stated = expit(rng.normal(0, 1.5, 800))
        shares = expected_calibration_error(stated, rng.binomial(8, stated) / 8, num_bins=10)
        found["shares"].append(shares.value)
        said["shares"].append(shares.by_chance)
        # One stroke of luck for the four pairs of a prompt, which are about as hard.
        alike = expit(rng.normal(0, 1.5, 200))[prompt]
        votes = (rng.random(200)[prompt] < alike) * 1.0
        together = expected_calibration_error(alike, votes, clusters=prompt, num_bins=10)
        found["together"].append(together.value)
        said["together"].append(together.by_chance)
        said["apart"].append(expected_calibration_error(alike, votes, num_bins=10).by_chance)
    for name, values in found.items():
        assert np.mean(values) == pytest.approx(np.mean(said[name]), rel=0.07)
    assert np.mean(said["together"]) > 1.9 * np.mean(said["apart"])
    single = expected_calibration_error(stated, rng.binomial(1, stated) * 1.0, num_bins=10)
    assert np.mean(said["shares"]) < 0.4 * single.by_chance


def test_clusters_must_be_one_for_each_pair() -> None:
    with pytest.raises(InputError) as caught:
        expected_calibration_error([0.2, 0.3], [0.0, 1.0], clusters=["a"])
    assert caught.value.code == "bootstrap_clusters"


def test_what_clusters_add_to_the_gaps_is_all_of_them() -> None:
    stated, votes = judged(3, 500)
    binned = Binned(stated, votes, None, quantity="winner", binning="width", num_bins=5)
    by_cluster = binned.gaps([place % 7 for place in range(500)])
    assert by_cluster.shape == (7, 5)
    np.testing.assert_allclose(by_cluster.sum(axis=0), binned.gaps().sum(axis=0), atol=1e-12)
    assert np.abs(by_cluster.sum(axis=0)).sum() == pytest.approx(binned.error().value)


def test_intervals_are_wilsons_and_hold_the_truth() -> None:
    found = reliability_diagram([0.8] * 10, [1.0] * 7 + [0.0] * 3, num_bins=1).bins[0]
    expected = binomtest(7, 10).proportion_ci(method="wilson")
    assert (found.observed_low, found.observed_high) == pytest.approx((expected.low, expected.high))
    rng = np.random.default_rng(8)
    hits: list[bool] = []
    for _ in range(300):
        stated = np.round(rng.random(1000), 1) * 0.8 + 0.1
        diagram = reliability_diagram(stated, rng.binomial(1, stated) * 1.0, num_bins=10)
        hits += [
            part.observed_low <= part.confidence <= part.observed_high for part in diagram.bins
        ]
    assert 0.93 <= np.mean(hits) <= 0.97


def test_weights_widen_intervals_as_fewer_pairs_do() -> None:
    votes, weight = [1.0, 0.0] * 4, [3, 3, 1, 1, 1, 1, 1, 1]
    found = reliability_diagram([0.5] * 8, votes, weight=weight, num_bins=1).bins[0]
    assert found.observed == pytest.approx(0.5)
    # Kish: (sum of weights)² over the sum of squares, 12² / 24, in place of 8.
    expected = binomtest(3, 6).proportion_ci(method="wilson")
    assert (found.observed_low, found.observed_high) == pytest.approx((expected.low, expected.high))


def test_a_tie_names_no_winner_and_is_right_half_of_the_time() -> None:
    found = reliability_diagram([0.5, 0.5], [1.0, 0.9], quantity="winner", num_bins=2)
    assert found.bins[0].confidence == found.bins[0].observed == 0.5
    assert found.error.value == 0.0
    assert (found.bins[0].low, found.bins[0].high) == (0.5, 0.75)


def test_a_diagram_turns_into_json() -> None:
    found = reliability_diagram([0.2, 0.9], [0.0, 1.0], num_bins=2).to_dict()
    assert found["num_pairs"] == 2
    assert found["level"] == 0.95
    assert [part["count"] for part in found["bins"]] == [1, 1]
    assert found["bins"][1]["low"] == 0.5


@pytest.mark.parametrize(
    "choice", [{"quantity": "both"}, {"binning": "depth"}, {"num_bins": 0}, {"level": 0.0}]
)
def test_choices_that_do_not_exist_are_refused(choice: dict[str, Any]) -> None:
    from jaxtyping import TypeCheckError

    # The tests' own checks of types come before the library's for what has a fixed set of names.
    with pytest.raises((ConfigError, TypeCheckError)):
        reliability_diagram([0.5], [0.5], **choice)


def test_numbers_outside_the_range_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        expected_calibration_error([1.5], [0.5])
    assert caught.value.code == "probability_range"
