from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from librehps.losses import (
    BradleyTerry,
    ExpectedLogistic,
    LogisticNormal,
    PairLoss,
    Scores,
    Thurstone,
)

LOSSES = [Thurstone(), LogisticNormal(), ExpectedLogistic()]


def run(
    loss: PairLoss, d: float, sigma: tuple[float, float], y: float
) -> tuple[float, float, float]:
    """Return the value, the slope by the difference, and the slope by the first sigma."""
    mean = torch.tensor([d], dtype=torch.float64, requires_grad=True)
    first = torch.tensor([sigma[0]], dtype=torch.float64, requires_grad=True)
    second = torch.tensor([sigma[1]], dtype=torch.float64)
    zero, target = torch.zeros(1, dtype=torch.float64), torch.tensor([y], dtype=torch.float64)
    result = loss(Scores(mean, first), Scores(zero, second), target)
    slopes = torch.autograd.grad(result.sum(), (mean, first))
    return result.item(), slopes[0].item(), slopes[1].item()


def by_sum(loss: PairLoss, d: float, s: float, y: float) -> float:
    """Return the loss as its definition says, by a fine sum in float64."""
    x = np.linspace(-12, 12, 100_001)
    weight = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi) * (x[1] - x[0])
    z = d + s * x
    if isinstance(loss, Thurstone):
        won, lost = (0.5 * math.erfc(side * d / s / math.sqrt(2)) for side in (-1, 1))
        return -y * math.log(won) - (1 - y) * math.log(lost)
    if isinstance(loss, LogisticNormal):
        p = float((weight / (1 + np.exp(-z))).sum())
        return -y * math.log(p) - (1 - y) * math.log1p(-p)
    cost = y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)
    return float((weight * cost).sum())


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("d", [-3.0, -0.5, 0.0, 1.0, 4.0])
@pytest.mark.parametrize("sigma", [(0.3, 0.4), (1.5, 2.0), (6.0, 8.0)])
def test_values_and_slopes_are_those_of_the_definition(
    loss: PairLoss, d: float, sigma: tuple[float, float]
) -> None:
    s, step = math.hypot(*sigma), 1e-4
    for y in (0.0, 0.3, 1.0):
        value, slope, slope_sigma = run(loss, d, sigma, y)
        assert value == pytest.approx(by_sum(loss, d, s, y), rel=1e-7)
        moved = by_sum(loss, d + step, s, y) - by_sum(loss, d - step, s, y)
        assert slope == pytest.approx(moved / (2 * step), rel=1e-5, abs=1e-7)
        wide, narrow = (math.hypot(sigma[0] + h, sigma[1]) for h in (step, -step))
        moved = by_sum(loss, d, wide, y) - by_sum(loss, d, narrow, y)
        assert slope_sigma == pytest.approx(moved / (2 * step), rel=1e-5, abs=1e-7)


def test_a_pair_in_the_wrong_order_raises_sigma() -> None:
    """Under the default and the probit: their slope by sigma is negative there."""
    for loss in (LogisticNormal(), Thurstone()):
        for d in (-0.5, -1.0, -3.0):
            assert run(loss, d, (1.0, 1.0), 1.0)[2] < 0
            assert run(loss, -d, (1.0, 1.0), 0.0)[2] < 0
        for d in (0.5, 1.0, 3.0):
            assert run(loss, d, (1.0, 1.0), 1.0)[2] > 0


def test_the_expected_loss_lowers_every_sigma_whatever_the_label() -> None:
    """Stein's lemma: the slope is s E[sigmoid(z) sigmoid(-z)], without the label in it."""
    x = np.linspace(-12, 12, 100_001)
    weight = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi) * (x[1] - x[0])
    for d in (-3.0, -1.0, 0.0, 1.0, 3.0):
        z = d + math.sqrt(2) * x
        stein = float((weight / ((1 + np.exp(-z)) * (1 + np.exp(z)))).sum())
        for y in (0.0, 0.5, 1.0):
            slope = run(ExpectedLogistic(), d, (1.0, 1.0), y)[2]
            # ds/dsigma_a = sigma_a / s, so s times it is sigma_a = 1.
            assert slope == pytest.approx(stein, rel=1e-7)
            assert slope > 0


def test_descent_on_contradictory_labels_keeps_sigma_up_or_lets_it_collapse() -> None:
    """Half of the votes on a pair that the scores are sure about say the opposite."""
    for loss, collapses in ((LogisticNormal(), False), (ExpectedLogistic(), True)):
        raw = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        d, zero = (torch.tensor([x], dtype=torch.float64) for x in (4.0, 0.0))
        optimizer = torch.optim.Adam([raw], lr=0.1)
        for _ in range(300):
            sigma = raw.exp()
            pair = (Scores(d, sigma), Scores(zero, sigma))
            total = sum(loss(*pair, torch.tensor([y], dtype=torch.float64)) for y in (0.0, 1.0))
            optimizer.zero_grad()
            total.sum().backward()
            optimizer.step()
        assert (raw.exp().item() < 0.1) is collapses


@pytest.mark.parametrize("d", [-5.0, 0.0, 0.7])
def test_without_noise_both_logistic_losses_are_bradley_terry(d: float) -> None:
    for loss in (LogisticNormal(), ExpectedLogistic()):
        expected = run_plain(d, 0.8)
        assert run(loss, d, (1e-5, 1e-5), 0.8)[0] == pytest.approx(expected, rel=1e-8)
        value, *slopes = run(loss, d, (0.0, 0.0), 0.8)
        assert value == pytest.approx(expected, rel=1e-8)
        assert all(math.isfinite(slope) for slope in slopes)


def run_plain(d: float, y: float) -> float:
    mean, zero, target = (torch.tensor([x], dtype=torch.float64) for x in (d, 0.0, y))
    return BradleyTerry()(Scores(mean), Scores(zero), target).item()


@pytest.mark.parametrize("y", [0.0, 0.4, 1.0])
def test_boundless_noise_says_nothing(y: float) -> None:
    for loss in (LogisticNormal(), Thurstone()):
        assert run(loss, 2.0, (1e7, 1e7), y)[0] == pytest.approx(math.log(2), abs=1e-6)


def test_only_the_ratio_counts_for_thurstone() -> None:
    one, ten = run(Thurstone(), 0.7, (0.5, 0.2), 1.0)[0], run(Thurstone(), 7.0, (5.0, 2.0), 1.0)[0]
    assert one == pytest.approx(ten, rel=1e-10)
