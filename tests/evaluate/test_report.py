"""The numbers of several benchmarks: what is fitted on what, and the means over all."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from librehps.calibration import Lapse, Platt
from librehps.errors import ConfigError, InputError
from librehps.evaluate.report import aggregate_over_suites, measure_suites
from librehps.evaluate.scored import ScoredPair, score_pairs
from librehps.evaluate.tie_rules import make_tie_rule
from librehps.results import AxisScore
from tests.evaluate.test_scored_rankings import ranking
from tests.evaluate.test_scored_ratings import rating


def drawn(suite: str, count: int, slope: float, seed: int) -> list[ScoredPair]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(count, 2))
    votes = rng.binomial(5, 1 / (1 + np.exp(-slope * (scores[:, 0] - scores[:, 1])))) / 5
    return [
        ScoredPair(
            suite=suite,
            global_index=place,
            for_fitting=place % 3 == 0,
            key=str(place),
            prompt=f"p{place // 2}",
            image_a="a.png",
            image_b="b.png",
            targets={"overall": float(votes[place])},
            votes=5,
            scores_a={"overall": AxisScore(float(scores[place, 0]))},
            scores_b={"overall": AxisScore(float(scores[place, 1]))},
        )
        for place in range(count)
    ]


PAIRS = {"steep": drawn("steep", 600, 4.0, 1), "flat": drawn("flat", 300, 0.8, 2)}
RULES = {"steep": make_tie_rule("strict"), "flat": make_tie_rule("half_credit")}


def test_another_calibrator_takes_the_place_of_platts() -> None:
    (steep,) = measure_suites({"steep": PAIRS["steep"]}, tie_rules=RULES, calibrator="lapse")
    fitting = [pair for pair in PAIRS["steep"] if pair.for_fitting]
    expected = Lapse.fit(score_pairs(fitting, "overall"))
    assert steep.fits["overall"] == {"calibrated": expected}
    held_out = [pair for pair in PAIRS["steep"] if not pair.for_fitting]
    stated = expected.of_pairs(score_pairs(held_out, "overall"))
    target = score_pairs(held_out, "overall").target
    assert steep.axes["overall"].forecasts["calibrated"].brier.value == pytest.approx(
        float(np.square(stated - target).mean())
    )


@pytest.mark.parametrize(
    ("name", "code"), [("lapes", "name_unknown"), ("gaussian", "calibration_kind")]
)
def test_a_calibrator_that_cannot_be_fitted_is_refused(name: str, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        measure_suites(PAIRS, tie_rules=RULES, calibrator=name)
    assert caught.value.code == code


def test_calibrators_see_the_part_for_fitting_alone() -> None:
    steep, flat = measure_suites(PAIRS, tie_rules=RULES)
    parts = {
        name: score_pairs([pair for pair in some if pair.for_fitting], "overall")
        for name, some in PAIRS.items()
    }
    assert steep.fits["overall"]["calibrated"] == Platt.fit(parts["steep"])
    assert flat.fits["overall"]["calibrated"] == Platt.fit(parts["flat"])
    joined = Platt.fit(parts["steep"].joined(list(parts.values())))
    assert steep.fits["overall"]["calibrated_global"] == joined
    assert flat.fits["overall"]["calibrated_global"] == joined
    assert (steep.axes["overall"].num_pairs, flat.axes["overall"].num_pairs) == (400, 200)
    assert flat.axes["overall"].tie_rule.name == "half_credit"
    errors = {
        name: found.reliability.error.value
        for name, found in steep.axes["overall"].forecasts.items()
    }
    assert errors["calibrated"] < errors["calibrated_global"] < errors["uncalibrated"]


def test_one_benchmark_alone_has_no_fit_of_all() -> None:
    (steep,) = measure_suites({"steep": PAIRS["steep"]}, tie_rules=RULES)
    assert list(steep.axes["overall"].forecasts) == ["uncalibrated", "calibrated"]


def test_means_are_weighted_by_pairs() -> None:
    suites = measure_suites(PAIRS, tie_rules=RULES)
    found = aggregate_over_suites(suites)
    axes = [suite.axes["overall"] for suite in suites]
    assert found.num_pairs == 600
    values = [axis.accuracy.value for axis in axes if axis.accuracy is not None]
    assert found.accuracy == pytest.approx((400 * values[0] + 200 * values[1]) / 600)
    for name in ("uncalibrated", "calibrated", "calibrated_global"):
        briers = [axis.forecasts[name].brier.value for axis in axes]
        assert found.brier[name] == pytest.approx((400 * briers[0] + 200 * briers[1]) / 600)
        gaps = [axis.forecasts[name].reliability.error.value for axis in axes]
        assert found.calibration_error[name] == pytest.approx((400 * gaps[0] + 200 * gaps[1]) / 600)
    with pytest.raises(InputError) as caught:
        aggregate_over_suites(suites, "style")
    assert caught.value.code == "evaluation_empty"


def test_a_fit_that_is_refused_says_why() -> None:
    few = {"few": PAIRS["flat"][:30]}
    (suite,) = measure_suites(few, tie_rules={"few": make_tie_rule("strict")})
    assert list(suite.axes["overall"].forecasts) == ["uncalibrated"]
    written = json.loads(json.dumps(suite.to_dict(), allow_nan=False))
    refused = written["axes"]["overall"]["calibrators"]["calibrated"]["refused"]
    assert refused["code"] == "calibration_too_few"
    assert aggregate_over_suites([suite]).brier.keys() == {"uncalibrated"}


def test_nothing_held_out_is_an_error() -> None:
    fitting = [replace(pair, for_fitting=True) for pair in PAIRS["flat"]]
    with pytest.raises(InputError) as caught:
        measure_suites({"flat": fitting}, tie_rules=RULES)
    assert (caught.value.code, caught.value.item) == ("evaluation_empty", "flat")


def test_a_rule_without_pairs_to_choose_on_costs_only_its_own_accuracy() -> None:
    held_out = [replace(pair, for_fitting=False) for pair in PAIRS["flat"]]
    rankings = [replace(ranking(place, (1, 2, 3)), for_fitting=False) for place in range(5)]
    found = measure_suites(
        {"flat": held_out, "other": PAIRS["steep"]},
        tie_rules=dict.fromkeys(("flat", "other"), make_tie_rule("pickscore")),
        rankings={"flat": rankings},
    )
    flat, other = (suite.axes["overall"] for suite in found)
    assert (flat.accuracy, flat.num_counted) == (None, 0)
    assert other.accuracy is not None
    assert found[0].rankings is not None
    assert found[0].rankings.accuracy is None
    assert math.isnan(aggregate_over_suites(found).accuracy)


def test_rankings_are_measured_on_what_is_held_out_with_the_rule_of_the_pairs() -> None:
    rankings = [
        replace(ranking(place, (1, 2, 3)), for_fitting=place % 3 == 0) for place in range(30)
    ]
    pairs = {"s": [pair for one in rankings for pair in one.pairs()]}
    rules = {"s": make_tie_rule("three_class")}
    (suite,) = measure_suites(pairs, tie_rules=rules, rankings={"s": rankings})
    assert suite.rankings is not None
    assert suite.rankings.num_rankings == 20
    # With the threshold that was chosen on the others.
    assert suite.rankings.tie_rule is suite.axes["overall"].tie_rule
    assert suite.to_dict()["rankings"]["num_pairs"] == 60
    (without,) = measure_suites(pairs, tie_rules=rules)
    assert (without.rankings, without.to_dict()["rankings"]) == (None, None)


def test_marks_alone_are_enough() -> None:
    marks = [rating("style", "style"), rating("overall", "style")]
    rules = {"s": make_tie_rule("strict")}
    (suite,) = measure_suites({"s": []}, tie_rules=rules, ratings={"s": marks})
    assert (list(suite.axes), list(suite.ratings)) == ([], ["style"])
    assert suite.to_dict()["ratings"]["style"]["num_ratings"] == 1
    # Nobody scored what the other one marks.
    with pytest.raises(InputError) as caught:
        measure_suites({"s": []}, tie_rules=rules, ratings={"s": marks[1:]})
    assert caught.value.code == "evaluation_empty"
