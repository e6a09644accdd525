"""What a comparison counts: the definitions, ties as half, and both ways round."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from librehps.calibration import Calibration, Fit, GaussianDifference, Platt, preference_probability
from librehps.errors import ConfigError
from librehps.evaluate.outcomes import OUTCOMES, make_outcome
from librehps.results import AxisScore

SCORES = st.builds(AxisScore, st.floats(-30, 30), st.none() | st.floats(0, 5))


@given(SCORES, SCORES)
def test_both_share_one_comparison(a: AxisScore, b: AxisScore) -> None:
    for name in OUTCOMES:
        outcome = make_outcome(name)
        assert outcome.name == name
        assert outcome.definition
        assert 0.0 <= outcome.share(a, b) <= 1.0
        assert outcome.share(a, b) + outcome.share(b, a) == 1.0
        assert outcome.share(a, a) == 0.5
        if a.mean > b.mean:
            assert outcome.share(a, b) >= 0.5


def test_the_higher_score_wins_all_and_equal_ones_half() -> None:
    higher = make_outcome("higher", Platt(0.1, 0.0))
    assert higher.share(AxisScore(1.0, 9.0), AxisScore(0.999, 9.0)) == 1.0
    assert higher.share(AxisScore(1.0, 1.0), AxisScore(1.0, 2.0)) == 0.5
    assert higher.to_dict()["calibrator"] is None


def test_the_probability_is_that_of_the_scorer_or_of_the_calibrator() -> None:
    a, b = AxisScore(1.0, 0.5), AxisScore(0.0, 0.5)
    assert make_outcome("probability").share(a, b) == preference_probability(a, b)
    platt = Platt(0.3, 0.0)
    fits = Calibration("platt", {"<global>": Fit(platt)})
    for calibrator in (platt, fits):
        outcome = make_outcome("probability", calibrator)
        assert outcome.share(a, b) == preference_probability(a, b, calibrator=platt)
        assert outcome.to_dict()["calibrator"] == {
            "kind": "platt",
            "parameters": platt.parameters(),
        }
    own = make_outcome("probability", GaussianDifference()).to_dict()
    assert own["calibrator"] == {"kind": "GaussianDifference"}


def test_an_unknown_rule_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="higher") as caught:
        make_outcome("highest")
    assert caught.value.code == "name_unknown"
