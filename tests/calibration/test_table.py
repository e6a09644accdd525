"""One fit per benchmark and one for all, each with what it was fitted from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from librehps.calibration import Calibration, Fit, Platt, ScorePairs, Temperature, fit_calibration
from librehps.calibration.table import GLOBAL, demand_tie_rule
from librehps.errors import ConfigError, InputError
from librehps.results import AxisScore
from librehps.testing.votes import simulate_pairs


@pytest.fixture
def benchmarks() -> dict[str, ScorePairs]:
    return {
        "hpdv3": simulate_pairs(lambda d, s: expit(2.0 * d), 3000, seed=1),
        "imgrew": simulate_pairs(lambda d, s: expit(0.5 * d), 1000, seed=2, votes=2),
    }


def test_each_benchmark_has_its_fit_and_all_have_one(benchmarks: dict[str, ScorePairs]) -> None:
    found = fit_calibration("platt", benchmarks, axis="style", model="sha256:00")
    assert found.benchmarks == ["hpdv3", "imgrew"]
    for name, pairs in benchmarks.items():
        assert found[name] == Platt.fit(pairs)
        assert found.fits[name].num_pairs == len(pairs)
        assert found.fits[name].num_ties == pairs.num_ties
    assert found.default == found[GLOBAL] == Platt.fit(ScorePairs.joined([*benchmarks.values()]))
    assert found.fits[GLOBAL].num_pairs == 4000
    assert (found.kind, found.axis, found.ties, found.model) == (
        "platt",
        "style",
        "half",
        "sha256:00",
    )
    a, b = AxisScore(1.0), AxisScore(0.4)
    assert found.probability(a, b) == found.default.probability(a, b)


def test_ties_count_half_or_are_dropped(benchmarks: dict[str, ScorePairs]) -> None:
    ties = benchmarks["imgrew"].num_ties
    assert ties > 100
    half = fit_calibration("temperature", benchmarks)
    dropped = fit_calibration("temperature", benchmarks, ties="dropped")
    assert half.fits["imgrew"].num_ties == ties
    assert dropped.fits["imgrew"].num_ties == 0
    assert dropped.fits["imgrew"].num_pairs == 1000 - ties
    # Without ties the same scores look surer.
    found = [fits["imgrew"].parameters()["temperature"] for fits in (half, dropped)]
    assert found[1] < found[0]


def test_pairs_that_cannot_be_fitted_are_named(benchmarks: dict[str, ScorePairs]) -> None:
    small = benchmarks | {"tiny": benchmarks["imgrew"].take(np.arange(5))}
    with pytest.raises(InputError, match="benchmark 'tiny': 5 of 5 pairs") as caught:
        fit_calibration("temperature", small)
    assert caught.value.code == "calibration_too_few"


def fits(**changes: Any) -> Calibration:
    given: dict[str, Any] = {
        "kind": "platt",
        "fits": {GLOBAL: Fit(Platt(1.0)), "hpdv3": Fit(Platt(2.0), 10, 1)},
        "axis": "overall",
        "ties": "half",
        "model": "sha256:aa",
    }
    return Calibration(**{**given, **changes})


def test_a_benchmark_may_be_the_default() -> None:
    assert fits().default == Platt(1.0)
    assert fits(benchmark="hpdv3").default == Platt(2.0)
    assert fits(benchmark="hpdv3")[GLOBAL] == Platt(1.0)


@pytest.mark.parametrize(
    ("build", "code", "words"),
    [
        (lambda: fits()["hpdv2"], "calibration_benchmark", "did you mean 'hpdv3'.*<global>, hpdv3"),
        (lambda: fits(benchmark="x"), "calibration_benchmark", "no fit for the benchmark 'x'"),
        (lambda: fits(fits={}), "calibration_benchmark", "; known: none"),
        (lambda: fits(fits={"": Fit(Platt(1.0))}), "calibration_benchmark", "has 0"),
        (lambda: fits(fits={"a" * 201: Fit(Platt(1.0))}), "calibration_benchmark", "201"),
        (lambda: fits(fits={GLOBAL: Fit(Temperature(1.0))}), "calibration_kind", "'temperature'"),
        (lambda: fits(axis="beauty"), "calibration_axis", "known: overall"),
        (lambda: demand_tie_rule("both"), "calibration_ties", "known: half, dropped"),
        (lambda: Fit(Platt(1.0), -1, 0), "calibration_number", "num_pairs is -1"),
        (lambda: Fit(Platt(1.0), None, -1), "calibration_number", "num_ties -1"),
        (lambda: Fit(Platt(1.0), 3, 4), "calibration_number", "no more pairs"),
    ],
)
def test_what_makes_no_sense_is_refused(build: Callable[[], object], code: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        build()
    assert caught.value.code == code


def test_another_axis_or_model_is_refused() -> None:
    fits().demand(axis="overall", model="sha256:aa")
    fits().demand()
    with pytest.raises(ConfigError, match="on the axis overall, not on style") as caught:
        fits().demand(axis="style")
    assert caught.value.code == "calibration_axis"
    with pytest.raises(ConfigError, match="model sha256:aa, not of sha256:bb: fit again") as caught:
        fits().demand(model="sha256:bb")
    assert caught.value.code == "calibration_other_model"
    with pytest.raises(ConfigError, match="not known"):
        fits(model=None).demand(model="sha256:bb")


@pytest.mark.parametrize(
    ("kind", "pairs", "changes", "code"),
    [
        ("plat", None, {}, "name_unknown"),
        ("gaussian", None, {}, "calibration_kind"),
        ("platt", {}, {}, "calibration_benchmark"),
        ("platt", {GLOBAL: ScorePairs.joined([])}, {}, "calibration_benchmark"),
        ("platt", None, {"axis": "beauty"}, "calibration_axis"),
    ],
)
def test_a_fit_that_makes_no_sense_is_refused(
    benchmarks: dict[str, ScorePairs], kind: str, pairs: Any, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        fit_calibration(kind, benchmarks if pairs is None else pairs, **changes)
    assert caught.value.code == code
