"""Measures on an axis against the definitions, and against what is known of made-up pairs."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from librehps.calibration import Platt, brier_score, expected_calibration_error
from librehps.errors import InputError
from librehps.evaluate.measures import judge_pairs, measure_axis, measure_forecasts
from librehps.evaluate.rank_correlation import kendall_tau
from librehps.evaluate.scored import ScoredPair
from librehps.evaluate.tie_rules import Unsettled, make_tie_rule
from librehps.results import AxisScore


def drawn(count: int, *, slope: float = 1.0, seed: int = 0, suite: str = "s") -> list[ScoredPair]:
    """Pairs whose votes follow the logistic function of ``slope`` times the difference."""
    rng = np.random.default_rng(seed)
    pairs: list[ScoredPair] = []
    for place in range(count):
        a, b = (float(value) for value in rng.normal(size=2))
        chance = 1.0 / (1.0 + math.exp(-slope * (a - b)))
        pairs.append(
            ScoredPair(
                suite=suite,
                global_index=place,
                for_fitting=place % 4 == 0,
                key=str(place),
                prompt=f"p{place // 3}",
                image_a=f"{place}-a.png",
                image_b=f"{place}-b.png",
                targets={"overall": float(rng.binomial(4, chance)) / 4},
                votes=4,
                scores_a={"overall": AxisScore(a)},
                scores_b={"overall": AxisScore(b)},
            )
        )
    return pairs


def test_numbers_are_those_of_their_definitions() -> None:
    pairs = drawn(400, slope=3.0)
    platt = Platt(a=3.0)
    found = measure_axis(
        "overall",
        held_out=pairs,
        fitting=[],
        tie_rule=make_tie_rule("strict"),
        calibrators={"calibrated": platt},
    )
    judged = judge_pairs(pairs, "overall")
    assert (found.num_pairs, found.num_prompts, found.num_equal_scores) == (400, 134, 0)
    assert found.num_tied_votes == sum(pair.targets["overall"] == 0.5 for pair in pairs)
    assert found.num_counted == 400 - found.num_tied_votes
    assert found.accuracy is not None
    right = [
        (pair.scores_a["overall"].mean > pair.scores_b["overall"].mean)
        == (pair.targets["overall"] > 0.5)
        for pair in pairs
        if pair.targets["overall"] != 0.5
    ]
    assert found.accuracy.value == pytest.approx(np.mean(right))
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high
    assert found.accuracy.num_clusters == 134
    for correlation in (found.kendall, found.spearman):
        assert correlation is not None
        assert 0.5 < correlation.low < correlation.value < correlation.high < 0.97
        assert correlation.num_clusters == 134
    # Scores without sigma are log-odds.
    raw = 1.0 / (1.0 + np.exp(-judged.difference))
    assert found.forecasts["uncalibrated"].brier.value == pytest.approx(
        brier_score(raw, judged.target)
    )
    fitted = 1.0 / (1.0 + np.exp(-3.0 * judged.difference))
    assert found.forecasts["calibrated"].brier.value == pytest.approx(
        brier_score(fitted, judged.target)
    )
    errors = {name: one.reliability.error.value for name, one in found.forecasts.items()}
    assert errors["calibrated"] < 0.05 < 0.1 < errors["uncalibrated"]
    # Less what chance adds: nothing is left of the one, and most of the other.
    corrected = {name: one.corrected for name, one in found.forecasts.items()}
    assert corrected["calibrated"].low == 0.0
    assert 0.1 < corrected["uncalibrated"].low < corrected["uncalibrated"].value
    assert corrected["uncalibrated"].value < errors["uncalibrated"]
    written = found.to_dict()["forecasts"]["uncalibrated"]["calibration_error_less_chance"]
    assert written == corrected["uncalibrated"].to_dict()


def test_every_pair_counts_in_both_orders() -> None:
    pairs = drawn(120)
    judged = judge_pairs(pairs, "overall")
    both_stated = np.concatenate([judged.probability, 1.0 - judged.probability])
    both_votes = np.concatenate([judged.target, 1.0 - judged.target])
    both = expected_calibration_error(both_stated, both_votes, num_bins=30)
    found = measure_forecasts(judged.probability, judged)
    assert found.reliability.error.value == pytest.approx(both.value)
    assert found.brier.value == pytest.approx(brier_score(both_stated, both_votes))
    # What chance gives is by prompts, as the intervals are.
    assert found.reliability.error == expected_calibration_error(
        judged.probability, judged.target, quantity="winner", clusters=judged.prompt
    )
    alone = expected_calibration_error(judged.probability, judged.target, quantity="winner")
    assert found.reliability.error.by_chance != alone.by_chance
    # One that always prefers the first: without both orders no correlation would be defined.
    first = [
        pair for pair in pairs if pair.scores_a["overall"].mean > pair.scores_b["overall"].mean
    ]
    won = [ScoredPair(**{**vars(pair), "targets": {"overall": 1.0}}) for pair in first]
    measured = measure_axis(
        "overall", held_out=won, fitting=[], tie_rule=make_tie_rule("strict"), calibrators={}
    )
    difference = judge_pairs(won, "overall").difference
    assert measured.kendall is not None
    assert measured.spearman is not None
    assert measured.kendall.value == pytest.approx(
        kendall_tau(np.r_[difference, -difference], [1.0] * len(won) + [0.0] * len(won))
    )
    assert measured.kendall.value > 0.5
    assert measured.spearman.value > 0.5


def test_a_threshold_is_chosen_on_the_part_for_fitting() -> None:
    pairs = drawn(300)
    fitting = [pair for pair in pairs if pair.for_fitting]
    held_out = [pair for pair in pairs if not pair.for_fitting]
    found = measure_axis(
        "overall",
        held_out=held_out,
        fitting=fitting,
        tie_rule=make_tie_rule("three_class"),
        calibrators={},
    )
    expected = make_tie_rule("three_class").settled(judge_pairs(fitting, "overall"))
    assert found.tie_rule == expected
    written = found.to_dict()["tie_rule"]
    assert written["threshold"] == vars(expected)["threshold"]
    assert "within a threshold" in written["definition"]


def test_a_rule_with_nothing_to_choose_on_gives_no_accuracy_and_says_why() -> None:
    held_out = [pair for pair in drawn(60) if not pair.for_fitting]
    for name in ("three_class", "pickscore"):
        found = measure_axis(
            "overall",
            held_out=held_out,
            fitting=[],
            tie_rule=make_tie_rule(name),
            calibrators={},
        )
        assert isinstance(found.tie_rule, Unsettled)
        assert found.tie_rule.why.code == "tie_rule_validation"
        written = found.to_dict()
        assert (written["accuracy"], written["num_counted"]) == (None, 0)
        assert written["tie_rule"]["name"] == name
        assert "there are none" in written["tie_rule"]["definition"]
        # What needs no threshold is there all the same.
        assert found.kendall is not None


def test_what_is_not_defined_is_null() -> None:
    pairs = [
        ScoredPair(**{**vars(pair), "prompt": "one", "targets": {"overall": 0.5}})
        for pair in drawn(3)
    ]
    found = measure_axis(
        "overall", held_out=pairs, fitting=[], tie_rule=make_tie_rule("strict"), calibrators={}
    )
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (written["accuracy"], written["num_counted"]) == (None, 0)
    assert written["kendall_tau_b"] is None
    brier = written["forecasts"]["uncalibrated"]["brier"]
    assert (brier["low"], brier["high"], brier["num_clusters"]) == (None, None, 1)
    corrected = written["forecasts"]["uncalibrated"]["calibration_error_less_chance"]
    assert (corrected["value"], corrected["low"], corrected["num_clusters"]) == (None, None, 1)
    with pytest.raises(InputError) as caught:
        measure_axis(
            "overall", held_out=[], fitting=[], tie_rule=make_tie_rule("strict"), calibrators={}
        )
    assert caught.value.code == "metric_shape"


def test_a_likelihood_that_is_infinite_is_null() -> None:
    pairs = [
        ScoredPair(
            **{
                **vars(pair),
                "scores_a": {"overall": AxisScore(1.0, 0.0)},
                "scores_b": {"overall": AxisScore(0.0, 0.0)},
                "targets": {"overall": 0.0},
            }
        )
        for pair in drawn(6)
    ]
    judged = judge_pairs(pairs, "overall")
    found = measure_forecasts(judged.probability, judged)
    assert math.isinf(found.negative_log_likelihood)
    assert found.to_dict()["negative_log_likelihood"] is None
