"""A logistic curve that levels off where people vote without looking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from librehps.calibration import Lapse, Platt, ScorePairs, Temperature
from librehps.calibration.lapse import _Curve
from librehps.errors import ConfigError, InputError
from librehps.results import AxisScore
from librehps.testing.votes import simulate_pairs


def curve(d: np.ndarray, slope: float, lapse: float) -> np.ndarray:
    return 0.5 * lapse + (1.0 - lapse) * expit(slope * d)


def loss(found: Lapse, pairs: ScorePairs) -> float:
    folded = pairs.folded()
    behind = curve(-folded.difference, found.slope, found.lapse)
    each = folded.target * np.log1p(-behind) + (1.0 - folded.target) * np.log(
        np.maximum(behind, 1e-300)
    )
    return -float(folded.weight @ each / folded.weight.sum())


@pytest.mark.parametrize(
    ("slope", "lapse"), [(1.0, 0.1), (3.0, 0.05), (0.5, 0.3), (10.0, 0.2), (0.8, 0.6), (0.01, 0.1)]
)
def test_nothing_fits_better(slope: float, lapse: float) -> None:
    unit = 1.0 / slope if slope < 0.1 else 1.0
    pairs = simulate_pairs(lambda d, s: curve(unit * d, slope, lapse), 4000, seed=4, votes=3)
    pairs = ScorePairs(unit * pairs.difference, pairs.target, pairs.weight, None)
    found = Lapse.fit(pairs)
    for start in ((found.slope, found.lapse), (2 * slope, 0.01)):
        best = minimize(
            lambda v: loss(Lapse(float(np.exp(v[0])), float(expit(v[1]))), pairs),
            [np.log(start[0]), np.log(start[1] / (1.0 - start[1]))],
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-15, "maxiter": 4000},
        )
        assert loss(found, pairs) <= best.fun + 1e-12
    assert found.slope == pytest.approx(np.exp(best.x[0]), rel=1e-4)
    assert found.lapse == pytest.approx(expit(best.x[1]), abs=1e-4)


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 5.0))
@settings(max_examples=50)
def test_without_lapses_it_is_temperature(seed: int, slope: float) -> None:
    # The best share of lapses is 0 exactly, so rounding leads over the border in half of them.
    levels = np.random.default_rng(seed).uniform(0.1, 4.0, 120)
    found = Lapse.fit(ScorePairs.of(levels, np.zeros(120), expit(slope * levels)))
    assert found.lapse == pytest.approx(0.0, abs=1e-6)
    assert found.slope == pytest.approx(slope, rel=1e-5)


def test_votes_that_are_surer_than_any_curve_ask_for_no_lapses() -> None:
    levels = np.linspace(0.1, 4.0, 120)
    surer = ScorePairs.of(levels, np.zeros(120), np.where(levels > 2.0, 0.999, expit(0.7 * levels)))
    assert Lapse.fit(surer) == Lapse(1.0 / Temperature.fit(surer).temperature, 0.0)


@pytest.mark.parametrize("seed", range(20))
def test_one_distance_beside_equal_scores_tells_no_slope(seed: int) -> None:
    d = np.repeat([0.0, 1.0], 100)
    target = np.random.default_rng(seed).binomial(1, 0.8, 200) * 1.0
    with pytest.raises(InputError) as caught:
        Lapse.fit(ScorePairs.of(d, np.zeros(200), target))
    assert caught.value.code == "calibration_constant"


@pytest.mark.parametrize(("logarithm", "half"), [(0.3, 0.05), (1.5, 0.2), (-0.5, 0.001)])
def test_the_derivatives_are_those_of_the_loss(logarithm: float, half: float) -> None:
    pairs = simulate_pairs(lambda d, s: curve(d, 1.5, 0.1), 500, seed=8, votes=2)
    mean_loss = _Curve.of(pairs.folded(), unit=0.7)
    point, step = np.array([logarithm, half]), 1e-6
    _, gradient, hessian = mean_loss(point)
    moved = [(mean_loss(point + step * e), mean_loss(point - step * e)) for e in np.eye(2)]
    slopes = np.array([(ahead[0] - behind[0]) / (2 * step) for ahead, behind in moved])
    bends = np.stack([(ahead[1] - behind[1]) / (2 * step) for ahead, behind in moved])
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-8)
    if (np.linalg.eigvalsh(bends) > 0.0).all():
        np.testing.assert_allclose(hessian, bends, rtol=1e-5, atol=1e-7)
    # Where it is no bowl, what stands for it is one.
    assert (np.linalg.eigvalsh(hessian) > 0.0).all()


def test_a_pair_counts_as_often_as_it_weighs() -> None:
    pairs = simulate_pairs(lambda d, s: curve(d, 1.2, 0.2), 600, seed=9)
    weight = np.random.default_rng(2).integers(0, 4, 600)
    heavy = ScorePairs(pairs.difference, pairs.target, weight * 1e-300, None)
    found, repeated = Lapse.fit(heavy), Lapse.fit(pairs.take(np.repeat(np.arange(600), weight)))
    assert (found.slope, found.lapse) == pytest.approx((repeated.slope, repeated.lapse), rel=1e-7)
    # A weight that is nothing beside the others is no weight.
    tiny = np.where(weight == 0, 1e-320, weight * 1e10)
    again = Lapse.fit(ScorePairs(pairs.difference, pairs.target, tiny, None))
    assert (again.slope, again.lapse) == pytest.approx((found.slope, found.lapse), rel=1e-7)


def test_exact_shares_give_the_exact_parameters() -> None:
    levels = np.linspace(-6.0, 6.0, 160)
    found = Lapse.fit(ScorePairs.of(levels, np.zeros(160), curve(levels, 1.7, 0.12)))
    assert found.slope == pytest.approx(1.7, rel=1e-9)
    assert found.lapse == pytest.approx(0.12, abs=1e-10)


def test_far_apart_it_is_calibrated_where_platt_is_not() -> None:
    def law(d: np.ndarray, s: np.ndarray) -> np.ndarray:
        return curve(d, 2.5, 0.14)

    pairs, fresh = (simulate_pairs(law, 100_000, seed=seed) for seed in (2, 3))
    far = np.abs(fresh.difference) > 4.0
    won = fresh.folded().target[far].mean()
    stated = {
        kind: np.maximum(one.of_pairs(fresh), 1.0 - one.of_pairs(fresh))[far].mean()
        for kind, one in (("lapse", Lapse.fit(pairs)), ("platt", Platt.fit(pairs)))
    }
    assert stated["lapse"] == pytest.approx(won, abs=0.005)
    assert stated["platt"] > won + 0.03


def test_one_pair_far_away_is_a_lapse_and_not_the_unit_of_all() -> None:
    pairs = simulate_pairs(lambda d, s: expit(d), 2000, seed=5)
    with_one = ScorePairs.joined([pairs, ScorePairs.of([30.0], [0.0], [0.0])])
    assert Lapse.fit(with_one).slope == pytest.approx(Lapse.fit(pairs).slope, rel=0.05)


def test_the_order_of_the_pairs_and_of_their_items_does_not_matter() -> None:
    pairs = simulate_pairs(lambda d, s: curve(d, 1.2, 0.1), 3000, seed=6)
    again = pairs.take(np.random.default_rng(1).permutation(3000)).with_random_sides(2)
    one, other = Lapse.fit(pairs), Lapse.fit(again)
    assert (other.slope, other.lapse) == pytest.approx((one.slope, one.lapse), rel=1e-9)


def test_agreement_that_does_not_grow_with_the_distance_is_refused() -> None:
    rng = np.random.default_rng(7)
    d = rng.uniform(1.0, 5.0, 4000) * rng.choice([-1.0, 1.0], 4000)
    pairs = ScorePairs.of(d, np.zeros(4000), np.where(d > 0.0, 0.8, 0.2))
    with pytest.raises(InputError, match="no slope is steep enough") as caught:
        Lapse.fit(pairs)
    assert caught.value.code == "calibration_no_convergence"


@given(st.floats(0.01, 20), st.floats(0, 0.99), st.floats(-20, 20), st.floats(-20, 20))
def test_the_probability_is_the_curve(slope: float, lapse: float, x: float, y: float) -> None:
    found = Lapse(slope, lapse).probability(AxisScore(x), AxisScore(y))
    expected = curve(np.array([x - y]), slope, lapse)[0]
    assert found == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(110, 500), st.floats(0.05, 20), st.floats(0, 0.8))
def test_few_pairs_are_fitted_or_refused_with_a_reason(
    seed: int, count: int, slope: float, lapse: float
) -> None:
    pairs = simulate_pairs(lambda d, s: curve(d, slope, lapse), count, seed=seed)
    found, refused = None, ""
    try:
        found = Lapse.fit(pairs)
    except InputError as error:
        refused = error.code
    if found is None:
        assert refused.removeprefix("calibration_") in (
            "no_convergence",
            "not_monotone",
            "separable",
        )
        return
    without = Lapse(1.0 / Temperature.fit(pairs).temperature)
    assert loss(found, pairs) <= loss(without, pairs) + 1e-9


@pytest.mark.parametrize(
    ("slope", "lapse", "code"),
    [
        (0.0, 0.0, "calibration_not_monotone"),
        (-2.0, 0.0, "calibration_not_monotone"),
        (1.0, -0.1, "calibration_number"),
        (1.0, 1.0, "calibration_number"),
        (1.0, float("nan"), "calibration_number"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(slope: float, lapse: float, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Lapse(slope, lapse)
    assert caught.value.code == code
