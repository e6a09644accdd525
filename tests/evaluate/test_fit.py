"""Fits from scored pairs, judged on what they have not seen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from librehps.calibration import Platt
from librehps.errors import ConfigError, InputError
from librehps.evaluate.fit import NUM_FOLDS, fit_and_measure
from librehps.evaluate.scored import ScoredPair, score_pairs
from librehps.results import AxisScore


def drawn(count: int, *, slope: float = 3.0, fitting: float = 0.5) -> list[ScoredPair]:
    rng = np.random.default_rng(0)
    pairs: list[ScoredPair] = []
    for place in range(count):
        a, b = (float(value) for value in rng.normal(size=2))
        chance = 1.0 / (1.0 + math.exp(-slope * (a - b)))
        pairs.append(
            ScoredPair(
                suite="s",
                global_index=place,
                for_fitting=place < fitting * count,
                key=str(place),
                prompt=f"p{place // 2}",
                image_a="a.png",
                image_b="b.png",
                targets={"overall": float(rng.binomial(5, chance)) / 5},
                votes=5,
                scores_a={"overall": AxisScore(a)},
                scores_b={"overall": AxisScore(b)},
            )
        )
    return pairs


def test_the_part_for_fitting_is_fitted_and_the_rest_is_judged() -> None:
    pairs = drawn(600)
    found = fit_and_measure({"s": pairs}, model="sha256:1")
    assert found.calibration["s"] == Platt.fit(score_pairs(pairs[:300], "overall"))
    assert (found.calibration.model, found.calibration.axis) == ("sha256:1", "overall")
    both = found.measures["s"]
    assert both.held_out
    assert both.after.brier.n == both.before.brier.n == 300
    assert both.after.reliability.error.value < both.before.reliability.error.value
    assert both.after.negative_log_likelihood < both.before.negative_log_likelihood


@pytest.mark.parametrize("fitting", [0.5, 1.0])
def test_the_fit_on_all_benchmarks_is_judged_on_the_pairs_of_all(fitting: float) -> None:
    steep, flat = drawn(600, fitting=fitting), drawn(200, slope=0.5, fitting=fitting)
    flat = [replace(pair, suite="t", prompt=f"t{pair.prompt}") for pair in flat]
    found = fit_and_measure({"s": steep, "t": flat})
    assert list(found.measures) == ["s", "t", "<global>"]
    both = found.measures["<global>"]
    assert both.held_out == (fitting < 1.0)
    assert both.after.brier.n == sum(found.measures[name].after.brier.n for name in "st")
    if both.held_out:
        kept = [pair for some in (steep, flat) for pair in some if not pair.for_fitting]
        columns = score_pairs(kept, "overall")
        stated = found.calibration.default.of_pairs(columns)
        expected = float(np.square(stated - columns.target).mean())
        assert both.after.brier.value == pytest.approx(expected)
    assert both.after.reliability.error.value < both.before.reliability.error.value
    # One suite has no fit for all beside its own.
    assert list(fit_and_measure({"s": steep}).measures) == ["s"]


def test_without_held_out_pairs_each_prompt_is_judged_by_a_fit_on_others() -> None:
    pairs = drawn(400, fitting=1.0)
    found = fit_and_measure({"s": pairs})
    both = found.measures["s"]
    assert not both.held_out
    assert both.after.brier.n == 400
    # What is written is fitted on all; what is judged is not it.
    assert found.calibration["s"] == Platt.fit(score_pairs(pairs, "overall"))
    stated = found.calibration["s"].of_pairs(score_pairs(pairs, "overall"))
    own = float(np.mean((stated - [pair.targets["overall"] for pair in pairs]) ** 2))
    assert both.after.brier.value != own
    # A pair whose votes are turned over changes the others' forecasts, never its own.
    assert both.after.brier.value == pytest.approx(own, abs=0.002)


def test_a_prompt_is_in_one_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, seen = drawn(300, fitting=1.0), []
    fit = Platt.fit

    def watched(given: object) -> Platt:
        seen.append(len(given.difference))
        return fit(given)

    monkeypatch.setattr(Platt, "fit", watched)
    fit_and_measure({"s": pairs})
    # One on all for the benchmark, one on all for the file, and one without each fold.
    assert len(seen) == 2 + 2 * NUM_FOLDS
    sizes = seen[2::2]
    assert sum(300 - size for size in sizes) == 300
    # Two pairs for each prompt: a fold that tore one would be odd.
    assert all(size % 2 == 0 for size in sizes)


def test_what_cannot_be_fitted_is_named() -> None:
    few = drawn(20)
    turned = [replace(pair, targets={"overall": 1 - pair.targets["overall"]}) for pair in drawn(99)]
    constant = [replace(pair, scores_a=pair.scores_b) for pair in drawn(99)]
    for pairs, code in (
        (few, "calibration_too_few"),
        (turned, "calibration_not_monotone"),
        (constant, "calibration_too_few"),
        ([], "calibration_too_few"),
    ):
        with pytest.raises(InputError) as caught:
            fit_and_measure({"s": pairs})
        assert caught.value.code == code
        assert "benchmark" in str(caught.value)
    with pytest.raises(InputError, match="style"):
        fit_and_measure({"s": drawn(99)}, axis="style")
    with pytest.raises(ConfigError) as refused:
        fit_and_measure({"s": drawn(99)}, kind="plat")
    assert refused.value.code == "name_unknown"
