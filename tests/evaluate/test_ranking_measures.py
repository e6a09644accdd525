"""Rankings measured: accuracies that are their origins', correlations, and intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from librehps.errors import InputError
from librehps.evaluate.ranking_measures import RankingMeasure, measure_rankings
from librehps.evaluate.scored_rankings import ScoredRanking
from librehps.evaluate.tie_rules import make_tie_rule
from librehps.results import AxisScore


def ranking(
    place: int, scores: Sequence[float], ranks: Sequence[float], prompt: str = ""
) -> ScoredRanking:
    return ScoredRanking(
        suite="s",
        global_index=place,
        for_fitting=False,
        key=str(place),
        prompt=prompt or f"p{place}",
        images=tuple(f"{n}.png" for n in range(len(ranks))),
        ranks=tuple(map(float, ranks)),
        scores=tuple({"overall": AxisScore(float(score))} for score in scores),
    )


def drawn(count: int = 40, seed: int = 0) -> list[ScoredRanking]:
    rng = np.random.default_rng(seed)
    found: list[ScoredRanking] = []
    for place in range(count):
        size = int(rng.integers(4, 10))
        # Ranks with ties, and scores that know something of them.
        ranks = rng.integers(1, size, size)
        found.append(ranking(place, rng.normal(size=size) - 0.4 * ranks, ranks.tolist()))
    return found


def means(one: ScoredRanking) -> list[float]:
    return [score["overall"].mean for score in one.scores]


def hpsv2_inversion_score(one: ScoredRanking) -> float:
    """The definition of HPSv2: both are ranked, and inversions of ranks are counted."""
    predicted = (-np.array(means(one))).argsort().argsort()
    true, size = one.ranks, len(one.ranks)
    wrong = 0
    for i in range(size):
        for j in range(i + 1, size):
            wrong += (true[i] - true[j]) * (predicted[i] - predicted[j]) < 0
    return 1 - wrong / (size * (size - 1) / 2)


def imagereward_counts(one: ScoredRanking) -> tuple[int, int]:
    """The definition of ImageReward: pairs of different rank, and those in the right order."""
    scores, decided, right = means(one), 0, 0
    for i in range(len(scores)):
        for j in range(len(scores)):
            if one.ranks[i] < one.ranks[j]:
                decided += 1
                right += scores[i] > scores[j]
    return right, decided


def accuracy(rankings: Sequence[ScoredRanking], rule: str) -> float:
    found = measure_rankings(rankings, tie_rule=make_tie_rule(rule)).accuracy
    assert found is not None
    assert found.low < found.value < found.high
    return found.value


def test_the_accuracies_are_those_of_their_origins() -> None:
    rankings = drawn()
    expected = float(np.mean([hpsv2_inversion_score(one) for one in rankings]))
    assert accuracy(rankings, "hpsv2") == pytest.approx(expected)
    counts = [imagereward_counts(one) for one in rankings]
    pooled = sum(right for right, _ in counts) / sum(decided for _, decided in counts)
    assert accuracy(rankings, "imagereward") == pytest.approx(pooled)
    by_prompt = float(np.mean([right / decided for right, decided in counts]))
    assert accuracy(rankings, "hpsv2_imagereward") == pytest.approx(by_prompt)
    assert len({round(value, 6) for value in (expected, pooled, by_prompt)}) == 3


def test_a_prompt_that_was_ranked_twice_counts_twice_and_is_drawn_together() -> None:
    good, bad = ranking(0, (3, 2, 1), (1, 2, 3), "same"), ranking(1, (1, 2), (1, 2), "same")
    other = ranking(2, (1, 2, 3), (1, 2, 3))
    found = measure_rankings([good, bad, other], tie_rule=make_tie_rule("hpsv2"))
    assert found.accuracy is not None
    # By prompts it would be (3/4 + 0) / 2.
    assert found.accuracy.value == pytest.approx(1 / 3)
    assert (found.num_rankings, found.num_prompts, found.accuracy.num_clusters) == (3, 2, 2)
    assert (found.num_images, found.num_pairs) == (8, 7)


def test_correlations_are_means_over_rankings() -> None:
    rankings = drawn(20)
    found = measure_rankings(rankings, tie_rule=make_tie_rule("imagereward"))
    assert found.kendall is not None
    assert found.spearman is not None
    tau = [stats.kendalltau(means(one), [-r for r in one.ranks]).statistic for one in rankings]
    rho = [stats.spearmanr(means(one), [-r for r in one.ranks]).statistic for one in rankings]
    assert found.kendall.value == pytest.approx(float(np.mean(tau)))
    assert found.spearman.value == pytest.approx(float(np.mean(rho)))
    assert found.kendall.low < found.kendall.value < found.kendall.high
    assert (found.num_correlated, found.kendall.num_clusters) == (20, 20)
    again = measure_rankings(rankings, tie_rule=found.tie_rule)
    assert found == again


def test_equal_ranks_or_scores_have_no_correlation() -> None:
    rankings = [
        ranking(0, (1, 2, 3), (1, 1, 1)),
        ranking(1, (2, 2, 2), (1, 2, 3)),
        ranking(2, (3, 2, 1), (1, 2, 3)),
    ]
    found = measure_rankings(rankings, tie_rule=make_tie_rule("imagereward"))
    assert found.kendall is not None
    assert (found.num_correlated, found.kendall.value) == (1, 1.0)
    # Of one prompt there is no interval.
    assert math.isnan(found.kendall.low)
    nothing = measure_rankings(rankings[:1], tie_rule=make_tie_rule("imagereward"))
    assert (nothing.accuracy, nothing.kendall, nothing.spearman) == (None, None, None)
    document = nothing.to_dict()
    assert document["accuracy"] is document["kendall_tau_b_per_prompt"] is None
    with pytest.raises(InputError):
        measure_rankings([], tie_rule=make_tie_rule("hpsv2"))


def test_what_is_printed_names_its_rule() -> None:
    found: RankingMeasure = measure_rankings(drawn(5), tie_rule=make_tie_rule("hpsv2"))
    document = found.to_dict()
    assert document["tie_rule"]["name"] == "hpsv2"
    assert document["accuracy"]["value"] == found.accuracy.value if found.accuracy else False
    assert document["num_rankings"] == 5
