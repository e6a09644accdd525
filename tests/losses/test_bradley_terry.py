from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from librehps.losses import (
    BradleyTerry,
    ConstantMargin,
    LikelihoodDisplacement,
    PairLoss,
    Scores,
    SoftmaxCrossEntropy,
)

number = st.floats(-20, 20)


def value(loss: PairLoss, a: float, b: float, y: float) -> float:
    tensors = (torch.tensor([x], dtype=torch.float64) for x in (a, b, y))
    mean_a, mean_b, target = tensors
    return loss(Scores(mean_a), Scores(mean_b), target).item()


def minus_log_sigmoid(x: float) -> float:
    return math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x)) - x


@given(a=number, b=number, y=st.floats(0, 1))
def test_values_are_those_of_the_equations(a: float, b: float, y: float) -> None:
    for loss, won, lost in (
        (BradleyTerry(), a - b, b - a),
        (ConstantMargin(0.3), a - b - 0.3, b - a - 0.3),
        (LikelihoodDisplacement(0.8), a - 0.8 * b, b - 0.8 * a),
        (SoftmaxCrossEntropy(7.0), 7 * (a - b), 7 * (b - a)),
    ):
        expected = y * minus_log_sigmoid(won) + (1 - y) * minus_log_sigmoid(lost)
        assert value(loss, a, b, y) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_limits() -> None:
    assert value(BradleyTerry(), 2, 2, 1) == pytest.approx(math.log(2))
    assert value(ConstantMargin(0.0), 1, 0, 1) == value(BradleyTerry(), 1, 0, 1)
    assert value(LikelihoodDisplacement(1.0), 1, 3, 0.2) == value(BradleyTerry(), 1, 3, 0.2)
    assert value(BradleyTerry(), 1e6, 0, 0) == 1e6


def test_a_soft_target_is_best_met_by_its_log_odds() -> None:
    d = torch.tensor([math.log(0.8 / 0.2)], dtype=torch.float64, requires_grad=True)
    zero = Scores(torch.zeros(1, dtype=torch.float64))
    BradleyTerry()(Scores(d), zero, torch.tensor([0.8], dtype=torch.float64)).sum().backward()
    assert d.grad.item() == pytest.approx(0.0, abs=1e-12)


def test_displacement_depends_on_where_zero_is_and_the_others_do_not() -> None:
    assert value(LikelihoodDisplacement(), 1, 0, 1) != value(LikelihoodDisplacement(), 6, 5, 1)
    assert value(ConstantMargin(), 1, 0, 1) == value(ConstantMargin(), 6, 5, 1)


def test_huge_margins_in_bfloat16_do_not_overflow() -> None:
    far = torch.tensor([3e38, -3e38]).bfloat16().requires_grad_()
    here, target = Scores(torch.zeros(2).bfloat16()), torch.tensor([1.0, 1.0])
    loss = BradleyTerry()(Scores(far), here, target)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert far.grad.tolist() == [0.0, -1.0]
