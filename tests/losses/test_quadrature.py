"""Both expectations against a fine grid in float64, and their gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from librehps.losses.quadrature import expected_softplus, log_expected_sigmoid

SIGMAS = [1e-6, 0.1, 1.0, 1.99, 2.01, 3.0, 6.0, 30.0, 300.0]
MEANS = [-1000.0, -60.0, -9.0, -2.0, -0.1, 0.0, 0.1, 2.0, 9.0, 60.0, 1000.0]


def grid(d: float, s: float) -> tuple[float, float]:
    """Return log E[sigmoid(z)] for d <= 0, and E[-log sigmoid(z)], summed in float64."""
    x = np.linspace(-45, 45, 200_001)
    weights = -0.5 * x * x - 0.5 * np.log(2 * np.pi) + np.log(x[1] - x[0])
    cost = np.logaddexp(0, -(d + s * x))
    total = weights - cost
    peak = total.max()
    return peak + np.log(np.exp(total - peak).sum()), float((np.exp(weights) * cost).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("s", SIGMAS)
def test_they_are_those_of_a_fine_grid(s: float, dtype: torch.dtype) -> None:
    relative = 1e-5 if dtype == torch.float32 else 1e-8
    d = torch.tensor(MEANS, dtype=dtype)
    won, lost = log_expected_sigmoid(d, torch.full_like(d, s))
    cost = expected_softplus(d, torch.full_like(d, s))
    for place, mean in enumerate(MEANS):
        log_p, expected = grid(-abs(mean), s)
        tail, rest = (won, lost) if mean <= 0 else (lost, won)
        assert tail[place].item() == pytest.approx(log_p, rel=relative)
        assert rest[place].item() == pytest.approx(np.log1p(-np.exp(log_p)), rel=relative)
        expected = grid(mean, s)[1]
        assert cost[place].item() == pytest.approx(expected, rel=relative, abs=1e-10)


@pytest.mark.parametrize("s", SIGMAS[1:7])
def test_gradients_are_those_of_differences(s: float) -> None:
    # 0 is where signs change sides, and -s² where one rule hands over to another.
    d = torch.tensor([-40.0, -9.0, -1.0, 0.0, 1.0, 9.0, -(s**2), s**2], dtype=torch.float64)
    sigma = torch.full_like(d, s)
    for function in (
        lambda d, s: log_expected_sigmoid(d, s)[0],
        lambda d, s: log_expected_sigmoid(d, s)[1],
        expected_softplus,
    ):
        own = d.clone().requires_grad_(), sigma.clone().requires_grad_()
        gradients = torch.autograd.grad(function(*own).sum(), own)
        step = 1e-4
        for place, gradient in enumerate(gradients):
            moved = [torch.zeros_like(d), torch.zeros_like(d)]
            moved[place] += step
            up = function(d + moved[0], sigma + moved[1])
            down = function(d - moved[0], sigma - moved[1])
            torch.testing.assert_close(gradient, (up - down) / (2 * step), rtol=1e-5, atol=2e-6)


def test_the_two_probabilities_add_up_to_one() -> None:
    d = torch.linspace(-5, 5, 41, dtype=torch.float64)
    for s in SIGMAS:
        won, lost = log_expected_sigmoid(d, torch.full_like(d, s))
        torch.testing.assert_close(won.exp() + lost.exp(), torch.ones_like(d))


def test_shapes_are_kept_and_nothing_gives_nothing() -> None:
    for shape in ((), (0,), (2, 3)):
        d = torch.zeros(shape)
        won, lost = log_expected_sigmoid(d, torch.ones(shape))
        assert won.shape == lost.shape == expected_softplus(d, torch.ones(shape)).shape == shape


@pytest.mark.parametrize("s", [0.1, 1.9])
def test_gradients_in_float32_hold_at_any_distance(s: float) -> None:
    d = torch.tensor([-1e4, -1e6, -1e8, -1e20, -3e38], requires_grad=True)
    sigma = torch.full_like(d, s, requires_grad=True)
    value = log_expected_sigmoid(d, sigma)[0]
    # So far out the logistic function is an exponential: log E is d + s² / 2.
    slopes = torch.autograd.grad(value.sum(), (d, sigma))
    torch.testing.assert_close(slopes[0], torch.ones(5), rtol=1e-5, atol=0.0)
    torch.testing.assert_close(slopes[1], torch.full((5,), s), rtol=1e-5, atol=0.0)
