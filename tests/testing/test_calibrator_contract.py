"""The contract fails for calibrators that break it; that good ones pass is tested beside those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from librehps.calibration import Isotonic, Platt, ScorePairs, Temperature
from librehps.results import AxisScore
from librehps.testing.calibrator_contract import check_calibrator


class Lopsided:
    """Prefers whatever comes first."""

    def probability(self, score_a: AxisScore, score_b: AxisScore) -> float:
        return 0.75


class Outside:
    """Returns what is no probability."""

    def probability(self, score_a: AxisScore, score_b: AxisScore) -> float:
        return float(np.sign(score_a.mean - score_b.mean)) + 0.5


class Falling:
    """Is sure of a tie that is not quite one, and of nothing else."""

    def probability(self, score_a: AxisScore, score_b: AxisScore) -> float:
        difference = score_a.mean - score_b.mean
        if abs(difference) > 1.0 or difference == 0.0:
            return 0.5
        return 0.75 if difference > 0 else 0.25


class Steep(Temperature):
    """Runs out of exponents where scores lie far apart."""

    def tail(self, distance: np.ndarray, spread: np.ndarray | None) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.exp(-distance) * np.exp(distance * 0.5)


class Unweighted(Platt):
    """Does not read the weights."""

    @classmethod
    def fit(cls, pairs: ScorePairs) -> Platt:
        ones = np.ones(len(pairs))
        return super().fit(ScorePairs(pairs.difference, pairs.target, ones, pairs.spread))


class Sociable(Temperature):
    """A pair's probability depends on what else is asked."""

    def tail(self, distance: np.ndarray, spread: np.ndarray | None) -> np.ndarray:
        return super().tail(distance, spread) * (1.0 if len(distance) == 1 else 0.99)


class Unfitted(Temperature):
    """Does not look at the votes."""

    @classmethod
    def fit(cls, pairs: ScorePairs) -> Temperature:
        return cls(1e-3)


@dataclass(frozen=True)
class Forgetful(Platt):
    """Does not save its intercept."""

    @classmethod
    def fit(cls, pairs: ScorePairs) -> Platt:
        return cls(super().fit(pairs).a, 1.0)

    def parameters(self) -> dict[str, Any]:
        return {"a": self.a, "b": 0.0}


class Lenient(Isotonic):
    """Reads past keys that it does not know."""

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Isotonic:
        known = {name: parameters[name] for name in ("distances", "levels")}
        return super().from_parameters(known)


@pytest.mark.parametrize(
    ("broken", "kind", "words"),
    [
        (Lopsided, "lopsided", "add up to 1.5"),
        (Outside, "outside", "is no probability"),
        (Falling, "falling", "it falls from 0.75"),
        (Steep, "temperature", "is no probability"),
        (Unweighted, "platt", "weight of 0 change the fit"),
        (Sociable, "temperature", "another probability than alone"),
        (Unfitted, "temperature", "a coin's is"),
        (Forgetful, "platt", "saved and loaded"),
        (Lenient, "isotonic", "are taken: .*beyond"),
        (Platt, "plat", "its kind is 'platt', not 'plat'"),
    ],
)
def test_what_breaks_the_contract_is_named(broken: type, kind: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_calibrator(broken, kind=kind)
