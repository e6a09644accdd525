from __future__ import annotations

from inspect import unwrap

import pytest
import torch

from librehps.errors import ConfigError, InputError
from librehps.losses import AxisLoss, BradleyTerry, ConstantMargin, LogisticNormal, Scores

AXES = ("overall", "style")
NAN = float("nan")
TARGET = torch.tensor([[1.0, NAN], [0.0, 0.5], [NAN, NAN]])


def scores(seed: int) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(3, 2, generator=generator, requires_grad=True)
    return Scores(mean, torch.rand(3, 2, generator=generator) + 0.5)


def test_each_axis_has_its_loss_and_missing_labels_cost_nothing() -> None:
    a, b = scores(0), scores(1)
    loss = AxisLoss(LogisticNormal(), {"style": BradleyTerry()}, {"style": 0.5})
    result = loss(a, b, TARGET, axes=AXES)
    assert result.weights.tolist() == [[1.0, 0.0], [1.0, 0.5], [0.0, 0.0]]
    first = LogisticNormal()(
        Scores(a.mean[:, 0], a.sigma[:, 0]),
        Scores(b.mean[:, 0], b.sigma[:, 0]),
        torch.tensor([1.0, 0.0, 0.5]),
    )
    second = BradleyTerry()(Scores(a.mean[:, 1]), Scores(b.mean[:, 1]), torch.full((3,), 0.5))
    assert result.values.tolist() == [
        [first[0].item(), 0.0],
        [first[1].item(), second[1].item()],
        [0.0, 0.0],
    ]
    expected = (first[0] + first[1] + 0.5 * second[1]) / 2.5
    torch.testing.assert_close(result.mean(), expected)
    by_axis = result.by_axis()
    torch.testing.assert_close(by_axis["overall"], first[:2].mean())
    torch.testing.assert_close(by_axis["style"], second[1])
    confidence = torch.tensor([0.0, 1.0, 1.0])
    torch.testing.assert_close(result.mean(confidence), (first[1] + 0.5 * second[1]) / 1.5)


def test_no_gradient_comes_from_where_there_is_no_label() -> None:
    a, b = scores(0), scores(1)
    (slope,) = torch.autograd.grad(
        AxisLoss(LogisticNormal())(a, b, TARGET, axes=AXES).mean(), a.mean
    )
    assert slope.isfinite().all()
    assert (slope != 0).tolist() == [[True, False], [True, True], [False, False]]


def test_a_batch_without_labels_is_zero() -> None:
    result = AxisLoss(BradleyTerry())(scores(0), scores(1), torch.full((3, 2), NAN), axes=AXES)
    assert result.mean().item() == 0.0
    assert {name: value.item() for name, value in result.by_axis().items()} == {
        "overall": 0.0,
        "style": 0.0,
    }


def test_what_does_not_fit_is_refused() -> None:
    call = unwrap(AxisLoss.__call__)
    with pytest.raises(InputError, match="a column for each of overall, style"):
        call(AxisLoss(BradleyTerry()), scores(0), scores(1), torch.zeros(3, 3), axes=AXES)
    for loss in (
        AxisLoss(BradleyTerry(), {"colour": ConstantMargin()}),
        AxisLoss(BradleyTerry(), {}, {"colour": 1.0}),
    ):
        with pytest.raises(ConfigError, match="'colour', but the head scores") as caught:
            loss(scores(0), scores(1), TARGET, axes=AXES)
        assert caught.value.code == "axis_unknown"
    with pytest.raises(ConfigError, match="the weight of style"):
        AxisLoss(BradleyTerry(), {}, {"style": -1.0})


def test_scores_that_would_be_spread_over_pairs_or_axes_are_refused() -> None:
    call, loss = unwrap(AxisLoss.__call__), AxisLoss(LogisticNormal())
    whole, target = torch.ones(2, 2), torch.ones(2, 2)
    for part, item in (
        ((torch.ones(2, 1), whole, whole, whole), "mean_a"),
        ((torch.ones(2), whole, whole, whole), "mean_a"),
        ((whole, torch.ones(1, 2), whole, whole), "mean_b"),
        ((whole, whole, torch.ones(2), whole), "sigma_a"),
        ((whole, whole, whole, torch.ones(2, 1)), "sigma_b"),
    ):
        a, b = Scores(part[0]), Scores(part[1])
        # Past the checks of shapes that only the tests switch on.
        object.__setattr__(a, "sigma", part[2])
        object.__setattr__(b, "sigma", part[3])
        with pytest.raises(InputError, match="a column for each of overall, style") as caught:
            call(loss, a, b, target, axes=AXES)
        assert (caught.value.code, caught.value.item) == ("argument_shape", item)
    result = loss(scores(0), scores(1), TARGET, axes=AXES)
    for confidence in (torch.ones(1), torch.ones(4), torch.tensor(1.0)):
        with pytest.raises(InputError, match="one for each of 3 pairs"):
            unwrap(type(result).mean)(result, confidence)


def test_an_axis_without_weight_is_logged_and_not_learned() -> None:
    mean = torch.tensor([[1.0, -3.0]], requires_grad=True)
    loss = AxisLoss(BradleyTerry(), weights={"style": 0.0})
    result = loss(Scores(mean), Scores(torch.zeros(1, 2)), torch.ones(1, 2), axes=AXES)
    assert result.by_axis()["style"].item() == pytest.approx(3.0486, abs=1e-4)
    assert result.mean().item() == pytest.approx(0.3133, abs=1e-4)
    (slope,) = torch.autograd.grad(result.mean(), mean)
    assert slope[0, 1].item() == 0.0
