"""Intervals of accuracies and of the Brier score hold the truth as often as they say.

Of 300 intervals that hold it with 95 %, 93 to 97 % do so in nine of ten such tests, and all rules
must at once: the pairs drawn here are some of which they do. The slow test leaves less to chance.
"""

from __future__ import annotations

import numpy as np
import pytest

from librehps.evaluate.tie_rules import TIE_RULES
from librehps.testing.coverage import BRIER, cover_means, true_means


def shares(**choice: int | bool) -> dict[str, float]:
    return {name: float(np.mean(hits)) for name, hits in cover_means(**choice).items()}


def test_every_tie_rule_has_a_truth_of_its_own() -> None:
    truth = true_means()
    assert set(truth) == {*TIE_RULES, BRIER}
    # A mean over prompts is another number than one over pairs, or the rules would not be told.
    assert truth["imagereward"] > truth["hpsv2_imagereward"] + 0.02
    assert truth["half_credit"] > truth["strict"] > truth["exact_tie"]


def test_of_300_repetitions_93_to_97_in_100_hold_the_truth() -> None:
    found = shares(num_prompts=200, repetitions=300, resamples=400, first_seed=900)
    assert {name: share for name, share in found.items() if not 0.93 <= share <= 0.97} == {}


def test_without_prompts_intervals_are_too_narrow() -> None:
    found = shares(num_prompts=200, repetitions=100, resamples=100, clustered=False)
    assert {name: share for name, share in found.items() if share > 0.93} == {}
    assert np.mean(list(found.values())) < 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("num_prompts", "least"), [(20, 0.92), (50, 0.915), (200, 0.935)])
def test_more_repetitions_say_so_more_closely(num_prompts: int, least: float) -> None:
    found = shares(num_prompts=num_prompts, repetitions=1500)
    assert {name: share for name, share in found.items() if not least <= share <= 0.97} == {}
