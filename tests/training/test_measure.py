from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from librehps.data import Comparison, PairLoader, read_hpdv3
from librehps.heads import HeadOutput, ScalarHead
from librehps.losses import AxisLoss, BradleyTerry
from librehps.testing.tiny import tiny_heads, tiny_model, tiny_processor
from librehps.training.measure import measure
from librehps.training.objective import Objective

OBJECTIVE = Objective(AxisLoss(BradleyTerry()))


class Told(ScalarHead):
    """A head that gives the scores that it is told."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__(hidden_size=1)
        self.scores = torch.tensor(scores)

    def forward(self, pooled: torch.Tensor) -> HeadOutput:
        return HeadOutput(mean=self.scores[: len(pooled), None], sigma=None, axes=self.axes)


def test_accuracy_brier_and_nats_are_those_of_their_definitions(place: Path) -> None:
    rows = read_hpdv3(place / "train.json").comparisons[:4]
    targets = (1.0, 0.25, 0.5, 0.75)
    pairs = [
        Comparison(prompt="one", image_a=r.image_a, image_b=r.image_b, target=t, key=str(t))
        for r, t in zip(rows, targets, strict=True)
    ]
    # Right, wrong, a tie of people, a tie of the model.
    model = tiny_model(heads=tiny_heads(("multi_axis",), hidden_size=48))
    model = type(model)(model.model, {"told": Told([2.0, 1.0, 3.0, 1.0, 0.0, 0.0, 0.0, 1.0])})
    model.train()
    loader = PairLoader(pairs, tiny_processor(), batch_pairs=4, shuffle=False, swap=False)
    found = measure(model, loader, OBJECTIVE)
    axis = found.axes["overall"]
    assert (axis.pairs, axis.decided) == (4, 3)
    assert axis.accuracy == pytest.approx((1 + 0 + 0.5) / 3)
    # Without sigma the probability is that of a noiseless comparison of the two.
    assert 0 <= axis.brier <= 1
    logistic = [
        math.log1p(math.exp(-d)) * y + math.log1p(math.exp(d)) * (1 - y)
        for d, y in zip((2.0, 1.0, 3.0, 0.0), targets, strict=True)
    ]
    assert found.loss == pytest.approx(sum(logistic) / 4, rel=1e-5)
    assert model.training
    assert set(found.to_dict()["axes"]) == {"overall"}


def test_the_size_of_batches_changes_nothing(place: Path) -> None:
    model = tiny_model(heads=tiny_heads(("multi_axis",), hidden_size=48))
    rows = read_hpdv3(place / "validation.json").comparisons
    found = [
        measure(
            model,
            PairLoader(
                rows, tiny_processor(), batch_pairs=size, axes=model.axes, shuffle=False, swap=False
            ),
            OBJECTIVE,
        )
        for size in (1, 6)
    ]
    assert found[0].loss == pytest.approx(found[1].loss, rel=1e-4)
    for axis in model.axes:
        assert found[0].axes[axis].accuracy == found[1].axes[axis].accuracy
        assert found[0].axes[axis].bernoulli == pytest.approx(
            found[1].axes[axis].bernoulli, rel=1e-3
        )
