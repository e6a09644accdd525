"""Every tie rule against a direct transcription of its definition, pair by pair in plain Python."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from librehps.errors import ConfigError, InputError
from librehps.evaluate.judged import JudgedPairs
from librehps.evaluate.tie_rules import TIE_RULES, PickScore, ThreeClass, make_tie_rule


@dataclass(frozen=True)
class Row:
    """A pair: difference of scores, share of votes for the first, prompt."""

    difference: float
    target: float
    prompt: str = "p"

    @property
    def probability(self) -> float:
        return 1.0 / (1.0 + math.exp(-self.difference))


def judged(rows: Sequence[Row]) -> JudgedPairs:
    return JudgedPairs.of(
        [row.difference for row in rows],
        [row.probability for row in rows],
        [row.target for row in rows],
        [row.prompt for row in rows],
    )


def human(row: Row) -> str:
    return "tie" if row.target == 0.5 else "a" if row.target > 0.5 else "b"


def model(row: Row, threshold: float = 0.0) -> str:
    if abs(row.difference) <= threshold:
        return "tie"
    return "a" if row.difference > 0 else "b"


def strict(rows: Sequence[Row]) -> float:
    return fmean(model(row) == human(row) for row in rows if human(row) != "tie")


def half_credit(rows: Sequence[Row]) -> float:
    return fmean(
        0.5 if model(row) == "tie" else float(model(row) == human(row))
        for row in rows
        if human(row) != "tie"
    )


def exact_tie(rows: Sequence[Row], threshold: float = 0.0) -> float:
    return fmean(model(row, threshold) == human(row) for row in rows)


def three_class(rows: Sequence[Row], validation: Sequence[Row]) -> float:
    tried = sorted({0.0, *(abs(row.difference) for row in validation)})
    best = max(tried, key=lambda threshold: exact_tie(validation, threshold))
    return exact_tie(rows, best)


def pickscore_at(rows: Sequence[Row], threshold: float) -> float:
    found: list[float] = []
    for row in rows:
        first, second = row.probability, 1.0 - row.probability
        preferred = "a" if first > second else "b"
        says = "tie" if abs(second - first) <= threshold else preferred
        if says == human(row):
            found.append(1.0)
        elif "tie" in (says, human(row)):
            found.append(0.5)
        else:
            found.append(0.0)
    return fmean(found)


def pickscore(rows: Sequence[Row], validation: Sequence[Row]) -> float:
    steps = [step / 10 for step in range(11)]
    return pickscore_at(rows, max(steps, key=lambda step: pickscore_at(validation, step)))


def pickscore_training(rows: Sequence[Row]) -> float:
    label = {"a": (1.0, 0.0), "b": (0.0, 1.0), "tie": (0.5, 0.5)}
    return fmean(
        (row.difference > 0) * label[human(row)][0] + (row.difference < 0) * label[human(row)][1]
        for row in rows
    )


def by_prompt(rows: Sequence[Row]) -> list[list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.prompt].append(row)
    return list(groups.values())


def hpsv2_imagereward(rows: Sequence[Row]) -> float:
    decided = [row for row in rows if human(row) != "tie"]
    return fmean(strict(group) for group in by_prompt(decided))


def hpsv2(rows: Sequence[Row]) -> float:
    def inversion_score(group: Sequence[Row]) -> float:
        inverted = sum({model(row), human(row)} == {"a", "b"} for row in group)
        return 1.0 - inverted / len(group)

    return fmean(inversion_score(group) for group in by_prompt(rows))


DEFINITIONS: dict[str, Callable[[Sequence[Row], Sequence[Row]], float]] = {
    "strict": lambda rows, _: strict(rows),
    "half_credit": lambda rows, _: half_credit(rows),
    "exact_tie": lambda rows, _: exact_tie(rows),
    "three_class": three_class,
    "pickscore": pickscore,
    "pickscore_training": lambda rows, _: pickscore_training(rows),
    "imagereward": lambda rows, _: strict(rows),
    "hpsv2_imagereward": lambda rows, _: hpsv2_imagereward(rows),
    "hpsv2": lambda rows, _: hpsv2(rows),
}

# Ten pairs with three ties of people and one of the scores, which meet in one pair. The threshold
# of pickscore makes them 0.65 to 0.75.
TOY = [
    Row(1.0, 1.0, "x"),
    Row(3.0, 0.8, "x"),
    Row(3.0, 1.0, "x"),
    Row(-0.7, 0.2, "y"),
    Row(-0.3, 0.0, "y"),
    Row(-0.7, 1.0, "y"),
    Row(2.0, 0.4, "z"),
    Row(0.0, 0.5, "z"),
    Row(0.3, 0.5, "z"),
    Row(-1.0, 0.5, "w"),
]
# Worked out by hand from the rows above; those of three_class and pickscore with a threshold of 0.
WORKED_OUT = {
    "strict": 5 / 7,
    "half_credit": 5 / 7,
    "exact_tie": 6 / 10,
    "three_class": 6 / 10,
    "pickscore": 7 / 10,
    "pickscore_training": 6 / 10,
    "imagereward": 5 / 7,
    "hpsv2_imagereward": (3 / 3 + 2 / 3 + 0 / 1) / 3,
    "hpsv2": (1 + 2 / 3 + 2 / 3 + 1) / 4,
}
# The best threshold on these is 0 for both rules that choose one.
DECIDED = [Row(1.0, 1.0), Row(-1.0, 0.0), Row(0.05, 1.0)]

rows_of_pairs = st.lists(
    st.builds(
        Row,
        difference=st.sampled_from([-2.0, -0.5, -0.25, 0.0, 0.25, 0.5, 2.0]) | st.floats(-3.0, 3.0),
        target=st.sampled_from([0.0, 0.4, 0.5, 0.6, 1.0]),
        prompt=st.sampled_from("xyz"),
    ),
    min_size=1,
    max_size=25,
)


def test_every_rule_has_a_definition_to_be_held_against() -> None:
    assert list(TIE_RULES) == list(DEFINITIONS) == list(WORKED_OUT)
    assert all(make_tie_rule(name).name == name for name in TIE_RULES)
    assert len({TIE_RULES[name].definition for name in TIE_RULES}) == len(TIE_RULES)


@pytest.mark.parametrize("name", list(TIE_RULES))
def test_the_toy_gives_what_was_worked_out(name: str) -> None:
    rule = make_tie_rule(name).settled(judged(DECIDED))
    assert rule.credit(judged(TOY)).accuracy() == pytest.approx(WORKED_OUT[name])
    assert DEFINITIONS[name](TOY, DECIDED) == pytest.approx(WORKED_OUT[name])


def test_the_threshold_of_pickscore_moves_the_toy() -> None:
    found = [pickscore_at(TOY, step / 10) for step in range(11)]
    assert (found[0], min(found), max(found)) == pytest.approx((0.7, 0.65, 0.75))


@pytest.mark.parametrize("name", list(TIE_RULES))
@settings(max_examples=40)
@given(rows=rows_of_pairs, validation=rows_of_pairs)
def test_a_rule_is_its_definition(name: str, rows: list[Row], validation: list[Row]) -> None:
    credit = make_tie_rule(name).settled(judged(validation)).credit(judged(rows))
    if credit.num_counted == 0:
        assert all(human(row) == "tie" for row in rows)
        with pytest.raises(InputError) as caught:
            credit.accuracy()
        assert caught.value.code == "tie_rule_no_pairs"
        return
    assert credit.accuracy() == pytest.approx(DEFINITIONS[name](rows, validation), abs=1e-12)


@settings(max_examples=20)
@given(rows=rows_of_pairs)
def test_the_two_orders_of_a_pair_are_equally_right(rows: list[Row]) -> None:
    turned = [Row(-row.difference, 1.0 - row.target, row.prompt) for row in rows]
    for name in TIE_RULES:
        # Rounding may put a probability on the other side of a threshold; that rule has its own.
        if name != "pickscore":
            rule = make_tie_rule(name).settled(judged(rows))
            first, second = rule.credit(judged(rows)), rule.credit(judged(turned))
            np.testing.assert_array_equal(first.value, second.value)
            np.testing.assert_array_equal(first.weight, second.weight)


def test_the_threshold_is_the_smallest_that_is_best() -> None:
    rows = [Row(0.3, 0.5), Row(-0.2, 0.5), Row(0.9, 1.0), Row(-0.1, 0.0), Row(2.0, 0.0)]
    assert ThreeClass().settled(judged(rows)) == ThreeClass(threshold=0.3)
    assert ThreeClass().settled(judged(DECIDED)) == ThreeClass(threshold=0.0)
    assert PickScore().settled(judged(DECIDED)) == PickScore(threshold=0.0)
    ties = [Row(1.0, 0.5), Row(-0.9, 0.5)]
    assert PickScore().settled(judged(ties)) == PickScore(threshold=0.5)


@pytest.mark.parametrize("name", ["three_class", "pickscore"])
def test_a_threshold_is_never_chosen_on_what_is_reported(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_tie_rule(name).credit(judged(TOY))
    assert caught.value.code == "tie_rule_unsettled"
    with pytest.raises(InputError) as refused:
        make_tie_rule(name).settled(judged([]))
    assert refused.value.code == "tie_rule_validation"


def test_an_unknown_rule_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'strict'"):
        make_tie_rule("strickt")
