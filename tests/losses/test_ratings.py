from __future__ import annotations

from inspect import unwrap

import pytest
import torch

from librehps.errors import InputError
from librehps.losses import RATING_LOSSES, GaussianRating, Scores, SquaredError


def test_the_squared_error_is_in_units_of_its_scale() -> None:
    scores = Scores(torch.tensor([1.0, 3.0]))
    assert SquaredError(2.0)(scores, torch.tensor([0.0, 7.0])).tolist() == [0.25, 4.0]


def test_the_likelihood_is_that_of_a_normal_variable() -> None:
    mean, sigma = torch.tensor([0.5, -2.0]), torch.tensor([0.3, 4.0])
    rating = torch.tensor([1.0, 1.0])
    expected = -torch.distributions.Normal(mean, sigma).log_prob(rating)
    torch.testing.assert_close(GaussianRating()(Scores(mean, sigma), rating), expected)


def test_an_error_raises_sigma() -> None:
    sigma = torch.tensor([1.0, 1.0], requires_grad=True)
    loss = GaussianRating()(Scores(torch.zeros(2), sigma), torch.tensor([3.0, 0.1]))
    (slope,) = torch.autograd.grad(loss.sum(), sigma)
    assert slope[0] < 0 < slope[1]


def test_what_does_not_fit_is_refused() -> None:
    for name in RATING_LOSSES:
        loss = RATING_LOSSES[name]()
        with pytest.raises(InputError, match="rating has shape"):
            unwrap(type(loss).__call__)(loss, Scores(torch.zeros(2), torch.ones(2)), torch.zeros(3))
    with pytest.raises(InputError, match="squared_error") as caught:
        GaussianRating()(Scores(torch.zeros(2)), torch.zeros(2))
    assert caught.value.code == "sigma_missing"


def test_a_sigma_of_another_shape_is_refused_and_not_spread() -> None:
    scores = Scores(torch.zeros(8))
    # Past the checks of shapes that only the tests switch on.
    object.__setattr__(scores, "sigma", torch.ones(8, 1))
    with pytest.raises(InputError, match="sigma has shape") as caught:
        unwrap(GaussianRating.__call__)(GaussianRating(), scores, torch.zeros(8))
    assert (caught.value.code, caught.value.item) == ("argument_shape", "sigma")


def test_a_sigma_of_zero_is_a_number() -> None:
    mean = torch.tensor([0.0, 1.0], requires_grad=True)
    sigma = torch.zeros(2, requires_grad=True)
    loss = GaussianRating()(Scores(mean, sigma), torch.zeros(2))
    slopes = torch.autograd.grad(loss.sum(), (mean, sigma))
    assert all(values.isfinite().all() for values in (loss, *slopes))
