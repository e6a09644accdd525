"""Whether a scorer is right more often where it is surer: accuracy by the winner's probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from librehps.calibration import Interval
from librehps.calibration.pairs import Numbers
from librehps.errors import InputError
from librehps.evaluate.judged import JudgedPairs
from librehps.evaluate.measures import mean_with_interval
from librehps.evaluate.tie_rules import TieRule

__all__ = ["EDGES", "ConfidenceBand", "accuracy_by_confidence"]

#: Where bands of the winner's probability begin; the last one ends at 1, and holds it.
EDGES = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class ConfidenceBand:
    """Pairs of whose winner about the same is stated.

    Args:
        low: Least probability of the winner.
        high: Where the next band begins.
        num_pairs: Pairs in it, at least 1.
        num_counted: Those that the tie rule counts.
        stated: Mean probability of the winner, of all pairs in it.
        accuracy: Under the tie rule, with its interval over prompts; ``None`` where no pair counts.
    """

    low: float
    high: float
    num_pairs: int
    num_counted: int
    stated: float
    accuracy: Interval | None


def accuracy_by_confidence(
    probability: Numbers,
    pairs: JudgedPairs,
    *,
    tie_rule: TieRule,
    edges: Sequence[float] = EDGES,
) -> list[ConfidenceBand]:
    """Return the accuracy of each band of confidence that holds a pair, from unsure to sure.

    Args:
        probability: Stated probability that ``a`` is preferred, ``[N]``.
        pairs: The pairs, ``N`` of them.
        tie_rule: Of the accuracy, with what it has to choose chosen.
        edges: Where the bands begin, rising from 0.5.

    Raises:
        InputError: Not a probability for each pair (code ``judged_shape``).
        ConfigError: See :meth:`~librehps.evaluate.tie_rules.TieRule.credit`.
    """
    if len(probability) != len(pairs):
        raise InputError(
            f"there are {len(probability)} probabilities of {len(pairs)} pairs",
            code="judged_shape",
        )
    credit = tie_rule.credit(pairs)
    winner = np.maximum(probability, 1.0 - probability)
    place = np.searchsorted(np.asarray(edges), winner, side="right") - 1
    found: list[ConfidenceBand] = []
    for band, (low, high) in enumerate(zip(edges, [*edges[1:], 1.0], strict=True)):
        inside = place == band
        if not inside.any():
            continue
        weight = credit.weight[inside]
        counted = int((weight > 0.0).sum())
        accuracy = (
            mean_with_interval(credit.value[inside], pairs.take(inside), weight=weight)
            if counted
            else None
        )
        stated = float(winner[inside].mean())
        found.append(ConfidenceBand(low, high, int(inside.sum()), counted, stated, accuracy))
    return found
