"""Every registered calibrator keeps the contract, and the scorer takes each as it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from librehps.calibration import (
    CALIBRATORS,
    Beta,
    Calibrator,
    FittedCalibrator,
    Isotonic,
    Lapse,
    Platt,
    ScorePairs,
    SigmaScale,
    Temperature,
    preference_probability,
)
from librehps.calibration.fitted import demand_number, demand_positive, read_keys
from librehps.errors import ConfigError
from librehps.results import AxisScore
from librehps.scorer import LibreHPS
from librehps.testing.calibrator_contract import check_calibrator
from librehps.testing.tiny import make_tiny_checkpoint

EXAMPLES = (
    Temperature(0.7),
    Platt(1.4, 0.3),
    Beta(0.5, 1.5, -0.2),
    Lapse(1.7, 0.12),
    Isotonic((0.5, 1.0, 3.0), (0.55, 0.7, 0.93)),
    SigmaScale(1.8),
)
scores = st.builds(AxisScore, st.floats(-1.79e308, 1.79e308), st.floats(0.0, 1.79e308))
near_scores = st.builds(AxisScore, st.floats(-8, 8), st.floats(0.01, 2))


@pytest.mark.parametrize("kind", list(CALIBRATORS))
def test_registered_calibrators_keep_the_contract(kind: str) -> None:
    check_calibrator(CALIBRATORS[kind], kind=kind)


def test_all_of_them_are_registered() -> None:
    assert {*CALIBRATORS} == {"gaussian", *(example.kind for example in EXAMPLES)}
    assert all(isinstance(example, Calibrator) for example in EXAMPLES)


@pytest.mark.parametrize("fitted", EXAMPLES, ids=lambda fitted: fitted.kind)
@given(a=scores | near_scores, b=scores | near_scores)
def test_both_ways_round_add_up_to_one_to_the_last_bit(
    fitted: FittedCalibrator, a: AxisScore, b: AxisScore
) -> None:
    forward, backward = fitted.probability(a, b), fitted.probability(b, a)
    assert forward + backward == 1.0
    assert 0.0 <= forward <= 1.0
    if a.mean > b.mean:
        assert forward >= 0.5
    # What is antisymmetric already reaches the caller unchanged.
    assert preference_probability(a, b, calibrator=fitted) == forward


@pytest.mark.parametrize("fitted", EXAMPLES, ids=lambda fitted: fitted.kind)
@given(st.lists(st.floats(-30, 30), min_size=2, max_size=30))
def test_a_larger_difference_is_never_less_probable(
    fitted: FittedCalibrator, differences: list[float]
) -> None:
    ordered = np.sort(np.array(differences))
    found = fitted.probabilities(ordered, np.full(len(ordered), 0.8))
    assert (np.diff(found) >= -1e-15).all()


def test_tiny_tails_keep_their_digits() -> None:
    behind = Temperature(1.0).probability(AxisScore(-300.0), AxisScore(300.0))
    assert behind == pytest.approx(math.exp(-600.0), rel=1e-12, abs=0.0)


@dataclass(frozen=True)
class Steps(FittedCalibrator):
    """The least that a calibrator of one's own needs."""

    kind: ClassVar[str] = "steps"

    level: float

    @classmethod
    def fit(cls, pairs: ScorePairs) -> Steps:
        return cls(float((pairs.folded().weight @ pairs.folded().target) / pairs.weight.sum()))

    def tail(self, distance: np.ndarray, spread: np.ndarray | None) -> np.ndarray:
        return np.full(len(distance), 1.0 - self.level)

    def parameters(self) -> dict[str, Any]:
        return {"level": self.level}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Steps:
        (level,) = read_keys(parameters, ("level",))
        return cls(demand_positive("level", level))


def test_a_calibrator_of_ones_own_is_a_tail_and_its_parameters() -> None:
    check_calibrator(Steps, kind="steps")


@pytest.mark.parametrize("value", [math.nan, math.inf, True, "1", None, [1.0], 10**400])
def test_only_finite_numbers_are_numbers(value: object) -> None:
    with pytest.raises(ConfigError, match=r"slope is .* it must be a finite number") as caught:
        demand_number("slope", value)
    assert caught.value.code == "calibration_number"


def test_keys_are_read_strictly() -> None:
    assert read_keys({"b": 1, "a": 2}, ("a", "b")) == [2, 1]
    with pytest.raises(ConfigError, match="unknown key 'slop'; did you mean 'slope'") as caught:
        read_keys({"slop": 1}, ("slope",))
    assert caught.value.code == "calibration_key"
    with pytest.raises(ConfigError, match="the key 'slope' is missing"):
        read_keys({}, ("slope",))


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> LibreHPS:
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    make_tiny_checkpoint(folder)
    return LibreHPS.from_pretrained(folder, device="cpu", dtype="float32")


@pytest.mark.parametrize("fitted", EXAMPLES, ids=lambda fitted: fitted.kind)
def test_the_scorer_takes_it_unchanged(scorer: LibreHPS, fitted: FittedCalibrator) -> None:
    a, b = skimage.data.cat()[:64, :96], skimage.data.coffee()[:80, :64]
    there = scorer.compare_images(image_a=a, image_b=b, prompt="a cat", calibrator=fitted)
    back = scorer.compare_images(image_a=b, image_b=a, prompt="a cat", calibrator=fitted)
    expected = fitted.probability(there.score_a.axis("overall"), there.score_b.axis("overall"))
    assert there.probability_a == expected
    assert there.probability_a + back.probability_a == 1.0
    plain = scorer.compare_images(image_a=a, image_b=b, prompt="a cat")
    assert plain.winner == there.winner
    assert plain.probability != there.probability


def test_the_calibrator_of_a_file_is_taken_too(scorer: LibreHPS, tmp_path: Path) -> None:
    from librehps.evaluate.calibration import load_platt_calibrator

    path = Path(tmp_path, "calibration.json")
    path.write_text('{"a": 1.5, "b": 0.25}', encoding="utf-8")
    images: dict[str, Any] = {"image_a": skimage.data.cat()[:64], "image_b": skimage.data.cat()}
    loaded = load_platt_calibrator(path)
    found = [
        scorer.compare_images(**images, prompt="a cat", calibrator=calibrator).probability_a
        for calibrator in (Platt(1.5, 0.25), loaded.default, loaded)
    ]
    assert found[0] == found[1] == found[2]
