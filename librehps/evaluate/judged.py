"""Pairs that a scorer and people have judged: what accuracy is counted from."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from librehps.calibration.pairs import Column, Numbers, column
from librehps.errors import InputError

__all__ = ["JudgedPairs"]


@dataclass(frozen=True, eq=False)
class JudgedPairs:
    """Pairs on one axis; ``N`` of them. Built with :meth:`of`.

    Args:
        difference: Score of ``a`` less score of ``b``, in log-odds; 0 where they are equal,
            ``[N]``.
        probability: Stated probability that ``a`` is preferred, in [0, 1], ``[N]``.
        target: Share of the votes for ``a``, in [0, 1]; 0.5 is a tie, ``[N]``.
        prompt: A number for each prompt, from 0, ``[N]`` int64.

    Raises:
        InputError: Columns of different lengths (code ``judged_shape``), or a number that is not
            finite or out of its range (``judged_value``).
    """

    difference: Numbers
    probability: Numbers
    target: Numbers
    prompt: NDArray[np.int64]

    def __post_init__(self) -> None:
        lengths = {len(self.difference), len(self.probability), len(self.target), len(self.prompt)}
        if len(lengths) > 1:
            raise InputError(
                f"the columns have the lengths {sorted(lengths)}; they must be equal",
                code="judged_shape",
            )
        stated = (self.probability >= 0.0) & (self.probability <= 1.0)
        true = (self.target >= 0.0) & (self.target <= 1.0)
        good = np.isfinite(self.difference) & stated & true
        if not good.all():
            row = int(np.argmin(good))
            raise InputError(
                f"the difference {self.difference[row]}, the probability {self.probability[row]} "
                f"and the target {self.target[row]} must be finite, and the last two in [0, 1]",
                code="judged_value",
                item=f"pairs[{row}]",
            )

    @classmethod
    def of(
        cls,
        difference: Column,
        probability: Column,
        target: Column,
        prompts: Sequence[Hashable],
    ) -> JudgedPairs:
        """Build from columns; equal ``prompts`` are one prompt.

        Raises:
            InputError: See the class.
        """
        numbers: dict[Hashable, int] = {}
        prompt = np.array(
            [numbers.setdefault(name, len(numbers)) for name in prompts], dtype=np.int64
        )
        return cls(column(difference), column(probability), column(target), prompt)

    def __len__(self) -> int:
        return len(self.difference)

    @property
    def preferred(self) -> NDArray[np.int64]:
        """What people said: 1 where they prefer ``a``, -1 where ``b``, 0 for a tie, ``[N]``."""
        return np.sign(self.target - 0.5).astype(np.int64)

    @property
    def scored(self) -> NDArray[np.int64]:
        """What scores say: 1 where ``a`` is above, -1 where ``b`` is, 0 where equal, ``[N]``."""
        return np.sign(self.difference).astype(np.int64)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> JudgedPairs:
        """Return the pairs that an index or a mask picks."""
        return JudgedPairs(
            self.difference[rows], self.probability[rows], self.target[rows], self.prompt[rows]
        )
