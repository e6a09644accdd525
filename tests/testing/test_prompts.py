"""What is drawn has the law that is said, and pairs of a prompt go together."""

from __future__ import annotations

import numpy as np

from librehps.testing.prompts import simulate_judged


def test_the_seed_decides() -> None:
    first, second, other = (simulate_judged(50, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.target, second.target)
    assert len(first) != len(other) or (first.target != other.target).any()


def test_both_sides_tie_and_pairs_of_a_prompt_go_together() -> None:
    drawn = simulate_judged(20_000, seed=0)
    assert len(np.unique(drawn.prompt)) == 20_000
    sizes = np.bincount(drawn.prompt)
    assert (sizes.min(), sizes.max()) == (1, 13)
    assert 0.01 < (drawn.scored == 0).mean() < 0.1
    assert 0.1 < (drawn.preferred == 0).mean() < 0.3
    decided = drawn.take((drawn.preferred != 0) & (drawn.scored != 0))
    right = (decided.preferred == decided.scored) - float(
        (decided.preferred == decided.scored).mean()
    )
    sums = np.bincount(decided.prompt, weights=right)
    # What the variance of the mean would be if pairs stood alone, against what it is.
    assert np.square(sums).sum() > 1.7 * np.square(right).sum()


def test_a_prompt_counts_more_where_the_scorer_grasps_it() -> None:
    drawn = simulate_judged(20_000, seed=3)
    agrees = (drawn.preferred == drawn.scored) * 1.0
    sizes = np.bincount(drawn.prompt)
    of_prompts = (np.bincount(drawn.prompt, weights=agrees) / sizes).mean()
    assert agrees.mean() > of_prompts + 0.01
