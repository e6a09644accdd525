"""The learning rate over the steps of a run, as a share of its full value."""

from __future__ import annotations

import math

from librehps.training.recipe import ScheduleRecipe

__all__ = ["rate_share"]


def rate_share(recipe: ScheduleRecipe, *, step: int, steps: int) -> float:
    """Return what the learning rate of an update is, in shares of the full one.

    Args:
        recipe: Warm-up and decay.
        step: The update, from 0.
        steps: Updates of the whole run.
    """
    warm = min(1.0, (step + 1) / (recipe.warmup_steps + 1))
    falling = recipe.decay_share * steps
    if recipe.decay == "none" or falling == 0.0:
        return warm
    # 0 where the decay begins, and 1 at the end of the run.
    progress = min(1.0, max(0.0, (step - (steps - falling)) / falling))
    shape = progress if recipe.decay == "linear" else 0.5 * (1.0 - math.cos(math.pi * progress))
    return warm * (1.0 - (1.0 - recipe.final_share) * shape)
