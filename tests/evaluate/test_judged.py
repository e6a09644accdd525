"""Judged pairs: what is refused, and what is read from them."""

from __future__ import annotations

import numpy as np
import pytest

from librehps.errors import InputError
from librehps.evaluate.judged import JudgedPairs


def test_columns_say_who_prefers_what() -> None:
    pairs = JudgedPairs.of([1.0, -2.0, 0.0], [0.7, 0.1, 0.5], [0.6, 0.5, 0.0], ["x", "y", "x"])
    assert pairs.preferred.tolist() == [1, 0, -1]
    assert pairs.scored.tolist() == [1, -1, 0]
    assert pairs.prompt.tolist() == [0, 1, 0]
    picked = pairs.take(np.array([2, 0]))
    assert (picked.target.tolist(), picked.prompt.tolist()) == ([0.0, 0.6], [0, 0])


@pytest.mark.parametrize(
    ("difference", "probability", "target"),
    [(float("nan"), 0.5, 0.5), (float("inf"), 0.5, 0.5), (0.0, 1.1, 0.5), (0.0, 0.5, -0.1)],
)
def test_numbers_out_of_range_are_refused_by_row(
    difference: float, probability: float, target: float
) -> None:
    with pytest.raises(InputError) as caught:
        JudgedPairs.of([0.0, difference], [0.5, probability], [0.5, target], ["x", "x"])
    assert (caught.value.code, caught.value.item) == ("judged_value", "pairs[1]")


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        JudgedPairs.of([0.0], [0.5], [0.5], ["x", "y"])
    assert caught.value.code == "judged_shape"
