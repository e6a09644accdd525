"""Bands of confidence: who is in them, and how right they are under the rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from librehps.errors import InputError
from librehps.evaluate.confidence import accuracy_by_confidence
from librehps.evaluate.judged import JudgedPairs
from librehps.evaluate.tie_rules import HPSv2, Strict


def judged(probability: list[float], target: list[float], prompts: list[str]) -> JudgedPairs:
    return JudgedPairs.of(np.asarray(probability) - 0.5, probability, target, prompts)


def test_bands_hold_both_orders_and_count_by_the_rule() -> None:
    stated = [0.95, 0.02, 0.91, 0.61, 0.45, 0.55, 1.0, 0.6]
    target = [1.0, 0.0, 0.2, 0.5, 0.3, 0.7, 1.0, 0.5]
    pairs = judged(stated, target, list("ababcdab"))
    unsure, middle, sure = accuracy_by_confidence(pairs.probability, pairs, tie_rule=Strict())
    assert (unsure.low, unsure.high, unsure.num_pairs, unsure.num_counted) == (0.5, 0.6, 2, 2)
    assert unsure.stated == pytest.approx(0.55)
    assert unsure.accuracy is not None
    assert unsure.accuracy.value == 1.0
    # Both pairs at 0.6 and above are ties of people, which the rule leaves out.
    assert (middle.low, middle.num_pairs, middle.num_counted) == (0.6, 2, 0)
    assert middle.accuracy is None
    assert (sure.low, sure.high, sure.num_pairs) == (0.9, 1.0, 4)
    assert sure.stated == pytest.approx((0.95 + 0.98 + 0.91 + 1.0) / 4)
    assert sure.accuracy is not None
    assert sure.accuracy.value == 0.75
    assert sure.accuracy.low < 0.75 <= sure.accuracy.high


def test_one_prompt_has_no_interval() -> None:
    pairs = judged([0.9, 0.9], [1.0, 0.0], ["a", "a"])
    (band,) = accuracy_by_confidence(pairs.probability, pairs, tie_rule=Strict())
    assert band.accuracy is not None
    assert band.accuracy.value == 0.5
    assert math.isnan(band.accuracy.low)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 1.0), st.sampled_from([0.0, 0.3, 0.5, 0.8]), st.sampled_from("ab")
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_pair_is_in_one_band(rows: list[tuple[float, float, str]]) -> None:
    stated, target, prompts = (list(part) for part in zip(*rows, strict=True))
    pairs = judged(stated, target, prompts)
    bands = accuracy_by_confidence(pairs.probability, pairs, tie_rule=HPSv2())
    assert sum(band.num_pairs for band in bands) == len(rows)
    assert all(band.low <= band.stated <= band.high for band in bands)


def test_a_probability_for_each_pair() -> None:
    pairs = judged([0.9, 0.9], [1.0, 0.0], ["a", "a"])
    with pytest.raises(InputError) as caught:
        accuracy_by_confidence(np.array([0.5]), pairs, tie_rule=Strict())
    assert caught.value.code == "judged_shape"
