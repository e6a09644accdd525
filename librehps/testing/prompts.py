"""Judged pairs whose law is known, several for each prompt, to see whether intervals are true."""

from __future__ import annotations

import numpy as np

from librehps.evaluate.judged import JudgedPairs

__all__ = ["simulate_judged"]

#: Votes for each pair; an even number, so that they may tie.
VOTES = 4


def simulate_judged(num_prompts: int, *, seed: int) -> JudgedPairs:
    """Draw prompts, some pairs of each, their scores, and votes for them.

    The scorer grasps some prompts and gets others the wrong way round. That is one number for all
    pairs of a prompt, so they are right or wrong together, and a prompt that it grasps has more of
    them: a mean over pairs and one over prompts are different numbers. Scores are whole tenths and
    votes are four, so both may tie. The probability that is stated is too sure on average.

    Args:
        num_prompts: Prompts to draw; each has 1 to 13 pairs.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    grasp = 1.4 * rng.beta(1.2, 0.6, num_prompts) - 0.4
    sizes = 1 + rng.binomial(12, 0.35 + 0.15 * grasp)
    prompt = np.repeat(np.arange(num_prompts), sizes)
    difference = np.round(rng.normal(0.0, 1.5, len(prompt)), 1)
    chance = 1.0 / (1.0 + np.exp(-1.8 * grasp[prompt] * difference))
    stated = 1.0 / (1.0 + np.exp(-1.6 * difference))
    target = rng.binomial(VOTES, chance) / VOTES
    return JudgedPairs(difference, stated, target, prompt)
