"""Where the truth is known, a scorer that knows it is within the noise, and others are not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from librehps.errors import InputError
from librehps.evaluate.known_truth import compare_with_truth, true_probabilities
from librehps.evaluate.scored import ScoredPair
from librehps.results import AxisScore

Truth = dict[str, dict[str, Any]]


def world(count: int, *, wrong: float = 0.0, seed: int = 0) -> tuple[list[ScoredPair], Truth]:
    """Return pairs of which every second is turned round, scored by their true log-odds.

    With ``wrong`` the score is surer than it should be where it is great: no slope mends that.
    """
    rng = np.random.default_rng(seed)
    pairs: list[ScoredPair] = []
    truth: Truth = {}
    for place in range(count):
        logit, votes, key = float(rng.normal(0.0, 1.2)), int(rng.integers(5, 12)), f"test-0-{place}"
        chance = 1.0 / (1.0 + math.exp(-logit))
        share = float(rng.binomial(votes, chance)) / votes
        score = logit + wrong * math.copysign(logit**2, logit)
        first, second = ("b", "a") if place % 2 else ("a", "b")
        turned = place % 2 == 1
        pairs.append(
            ScoredPair(
                suite="world/test",
                global_index=place,
                for_fitting=place % 4 == 0,
                key=key,
                prompt=f"p{place // 2}",
                image_a=f"images/test/{key}-{first}.png",
                image_b=f"images/test/{key}-{second}.png",
                targets={"overall": 1.0 - share if turned else share},
                votes=votes,
                scores_a={"overall": AxisScore(-score if turned else score)},
                scores_b={"overall": AxisScore(0.0)},
            )
        )
        truth[key] = {"probabilities": {"overall": chance}}
    return pairs, truth


def test_who_knows_the_truth_is_within_the_noise() -> None:
    found = compare_with_truth(*world(2400), casts=200)
    assert found.within_noise
    assert found.noise.low <= found.ideal.value <= found.noise.high
    assert found.against_truth.value < 0.012
    assert found.within_chance
    assert found.within_ideal_calibrator
    # Where scores are the true log-odds, the best curve knows the truth but for its steps.
    assert found.ideal_calibrator.value == pytest.approx(found.noise.value, rel=0.1)
    assert (found.noise.n, found.noise.num_clusters, found.num_prompts) == (1800, 1200, 1200)
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert written["within_noise"] is True
    assert written["within_ideal_calibrator"] is True
    assert written["calibrated"]["ece_winner_15_equal_width"] == found.calibrated.value


def test_who_is_wrong_is_not() -> None:
    found = compare_with_truth(*world(2400, wrong=2.0), casts=200)
    assert not found.within_noise
    assert found.calibrated.value > found.noise.high
    assert not found.within_chance
    assert not found.within_ideal_calibrator
    # What is wrong is the curve and not the order, which the ideal calibrator mends.
    assert found.ideal_calibrator.value == pytest.approx(found.noise.value, rel=0.1)
    assert found.corrected.low > 0.0
    # Against the truth there is no noise of votes, and the error is about the same.
    assert found.against_truth.value == pytest.approx(found.corrected.value, abs=0.015)


def test_who_knows_little_but_states_what_is_true_on_average_is_within_chance() -> None:
    pairs, truth = world(2400, seed=4)
    # Half of the pairs are known to lean one way, and nothing else is known of any.
    lean = [
        {"overall": AxisScore(0.5 if pair.scores_a["overall"].mean > 0.0 else -0.5)}
        for pair in pairs
    ]
    coarse = [replace(pair, scores_a=score) for pair, score in zip(pairs, lean, strict=True)]
    found = compare_with_truth(coarse, truth, casts=100)
    assert found.within_chance
    assert found.within_ideal_calibrator
    assert found.calibrated.by_chance > 0.002
    # Which pairs there are is chance to such a scorer, also to an ideal one.
    assert found.ideal_calibrator.value < found.ideal_calibrator_redrawn.value
    assert found.ideal_calibrator_redrawn.value == pytest.approx(
        found.calibrated.by_chance, rel=0.15
    )
    assert found.against_truth.value < 0.02


def test_chance_says_what_the_votes_cast_again_say() -> None:
    found = compare_with_truth(*world(2400, seed=3), casts=300)
    assert found.ideal.by_chance == pytest.approx(found.noise.value, rel=0.1)


def test_pairs_that_are_turned_round_have_the_other_probability() -> None:
    pairs, truth = world(2)
    chances = [truth[pair.key]["probabilities"]["overall"] for pair in pairs]
    found = true_probabilities(pairs, truth, axis="overall").tolist()
    assert found == [chances[0], 1.0 - chances[1]]


def test_what_is_not_known_is_named() -> None:
    pairs, truth = world(200)
    without = {key: row for key, row in truth.items() if key != "test-0-7"}
    unnamed = [replace(pair, image_a="picture.png") for pair in pairs]
    unvoted = [replace(pair, votes=None) for pair in pairs]
    fitted = [replace(pair, for_fitting=True) for pair in pairs]
    for given, known, code in (
        (pairs, without, "truth_missing"),
        (unnamed, truth, "truth_missing"),
        (unvoted, truth, "truth_votes"),
        (fitted, truth, "evaluation_empty"),
        ([], truth, "evaluation_empty"),
        (pairs[:60], truth, "calibration_too_few"),
    ):
        with pytest.raises(InputError) as caught:
            compare_with_truth(given, known, casts=2)
        assert caught.value.code == code
