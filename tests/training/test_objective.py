from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from librehps.data import PairBatch, PairLoader, read_hpdv3
from librehps.errors import ConfigError
from librehps.heads import HeadOutput
from librehps.losses import AxisLoss, BradleyTerry, Davidson, LogisticNormal
from librehps.testing.tiny import tiny_heads, tiny_processor
from librehps.training.objective import Objective, pair_scores

AXES = ("overall", "alignment", "coherence", "style")


@pytest.fixture(scope="module")
def pairs(place: Path) -> PairBatch:
    found = read_hpdv3(place / "train.json").comparisons
    return next(PairLoader(found, tiny_processor(), batch_pairs=5, axes=AXES).batches())


def outputs(pairs: PairBatch) -> dict[str, HeadOutput]:
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(2 * len(pairs.keys), 4, generator=generator)
    return {
        "multi_axis": HeadOutput(mean=wide, sigma=wide.exp(), axes=AXES),
        "scalar": HeadOutput(mean=2 * wide[:, :1], sigma=None, axes=("overall",)),
    }


def test_the_first_half_is_a_and_the_second_b(pairs: PairBatch) -> None:
    output = outputs(pairs)["multi_axis"]
    scores = pair_scores(output)
    assert (scores.a.mean == output.mean[:5]).all()
    assert scores.b.sigma is not None
    assert output.sigma is not None
    assert (scores.b.sigma == output.sigma[5:]).all()


def test_the_total_is_the_sum_over_heads_of_means_over_axes(pairs: PairBatch) -> None:
    objective = Objective(AxisLoss(BradleyTerry(), weights={"style": 3.0}))
    heads = outputs(pairs)
    total = objective.total(objective.values(heads, pairs), pairs)
    expected: list[torch.Tensor] = []
    for output in heads.values():
        losses: list[torch.Tensor] = []
        weights: list[float] = []
        for column, axis in enumerate(output.axes):
            d = output.mean[:5, column] - output.mean[5:, column]
            y = pairs.target[:, pairs.axes.index(axis)]
            losses.append(-(y * d.sigmoid().log() + (1 - y) * (-d).sigmoid().log()).sum())
            weights.append(3.0 if axis == "style" else 1.0)
        weighted = sum(w * loss for w, loss in zip(weights, losses, strict=True))
        expected.append(weighted / (5 * sum(weights)))
    assert float(total) == pytest.approx(float(sum(expected)), rel=1e-5)


def test_the_totals_of_parts_add_up_to_that_of_the_whole(place: Path) -> None:
    found = read_hpdv3(place / "train.json").comparisons
    # Some labels are missing and some pairs count less, so that parts have other divisors.
    uneven = [
        replace(
            one, confidence=0.1 + number / 10, axis_targets={"style": 0.8} if number % 3 else {}
        )
        for number, one in enumerate(found)
    ]
    loader = PairLoader(uneven, tiny_processor(), batch_pairs=7, axes=AXES, max_tokens=1000)
    whole = next(loader.batches())
    parts = whole.parts()
    assert len({len(part.keys) for part in parts}) > 1
    objective = Objective(AxisLoss(BradleyTerry(), weights={"style": 3.0}))
    wide = torch.randn(14, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)

    def total(pairs: PairBatch, first: int) -> torch.Tensor:
        rows = [side + first + n for side in (0, 7) for n in range(len(pairs.keys))]
        output = HeadOutput(mean=wide[rows], sigma=None, axes=AXES)
        lone = HeadOutput(mean=wide[rows, :1], sigma=None, axes=("overall",))
        values = objective.values({"multi_axis": output, "scalar": lone}, pairs)
        labels = objective.labels({name: one.axes for name, one in values.items()}, [whole])
        return objective.total(values, pairs, out_of=labels)

    firsts = [sum(len(part.keys) for part in parts[:number]) for number in range(len(parts))]
    at_once, added = (
        total(whole, 0),
        torch.stack([total(part, first) for part, first in zip(parts, firsts, strict=True)]).sum(),
    )
    assert float(added.detach()) == pytest.approx(float(at_once.detach()), rel=1e-6)
    (one,), (other,) = torch.autograd.grad(at_once, wide), torch.autograd.grad(added, wide)
    torch.testing.assert_close(other, one)


def test_parts_without_any_label_add_nothing(pairs: PairBatch) -> None:
    nothing = replace(pairs, target=torch.full_like(pairs.target, float("nan")))
    part = replace(nothing, keys=nothing.keys[:])
    objective = Objective(AxisLoss(BradleyTerry()))
    values = objective.values(outputs(pairs), nothing)
    labels = objective.labels({name: one.axes for name, one in values.items()}, [nothing])
    assert float(objective.total(values, part, out_of=labels)) == 0.0


@pytest.mark.parametrize(
    ("loss", "code"),
    [
        (AxisLoss(LogisticNormal()), "sigma_missing"),
        (AxisLoss(BradleyTerry(), weights={"temporal": 1.0}), "axis_unknown"),
    ],
)
def test_heads_that_do_not_fit_are_refused(pairs: PairBatch, loss: Any, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Objective(loss).check(tiny_heads(hidden_size=8), outputs(pairs))
    assert caught.value.code == code


def test_an_axis_may_have_a_loss_of_its_own(pairs: PairBatch) -> None:
    heads = outputs(pairs)
    plain = Objective(AxisLoss(BradleyTerry())).values(heads, pairs)
    mixed = Objective(AxisLoss(BradleyTerry(), losses={"style": Davidson()}))
    for name, found in mixed.values(heads, pairs).items():
        for column, axis in enumerate(found.axes):
            same = torch.equal(found.values[:, column], plain[name].values[:, column])
            assert same == (axis != "style"), axis
