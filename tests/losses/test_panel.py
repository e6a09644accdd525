"""The panel's likelihood: against a fine grid, its limits, and that it tells sigma from votes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_ndtr

from librehps.errors import ConfigError
from librehps.losses import PanelThurstone, Scores, Thurstone
from librehps.losses.panel import log_panel_likelihood

DOUBLE = torch.float64


def by_grid(d: float, r: float, won: float, lost: float) -> float:
    """The definition, over a grid ten times finer than what is tested."""
    lowest = -abs(d) * max(r, 1.0) - 12.0 * (1.0 + r) * np.sqrt(won + lost)
    x = np.linspace(lowest, -lowest, 200_001)
    m = d + r * x
    logs = won * log_ndtr(m) + lost * log_ndtr(-m) - 0.5 * x**2
    top = logs.max()
    step = x[1] - x[0]
    return float(top + np.log(np.exp(logs - top).sum() * step) - 0.5 * np.log(2 * np.pi))


def value(d: float, r: float, won: float, lost: float, dtype: torch.dtype = DOUBLE) -> float:
    tensors = (torch.tensor([x], dtype=dtype) for x in (d, r, won, lost))
    return float(log_panel_likelihood(*tensors))


@pytest.mark.parametrize("r", [0.0, 0.3, 1.0, 3.0, 6.0])
@pytest.mark.parametrize(("won", "lost"), [(12.0, 0.0), (0.0, 12.0), (7.0, 5.0), (19.0, 1.0)])
@pytest.mark.parametrize("d", [-15.0, -2.0, 0.0, 0.7, 4.0])
def test_it_is_the_integral(d: float, r: float, won: float, lost: float) -> None:
    expected = by_grid(d, r, won, lost)
    assert value(d, r, won, lost) == pytest.approx(expected, rel=1e-8, abs=1e-8)
    assert value(d, r, won, lost, torch.float32) == pytest.approx(expected, rel=2e-5, abs=2e-5)


@pytest.mark.parametrize(("won", "lost"), [(20.0, 0.0), (13.0, 7.0), (1.5, 0.5)])
def test_it_is_nearly_the_integral_at_the_widest(won: float, lost: float) -> None:
    assert value(3.0, 12.0, won, lost) == pytest.approx(by_grid(3.0, 12.0, won, lost), rel=1e-5)


@pytest.mark.parametrize("votes", [20.0, 60.0, 400.0])
def test_sigma_counts_as_far_as_the_integral_is_exact(votes: float) -> None:
    zero = torch.zeros(1, dtype=DOUBLE)
    a, b = Scores(zero + 1.5, zero + 99.0), Scores(zero, zero)
    found = PanelThurstone(votes=votes)(a, b, zero + 0.5)
    widest = 12.0 * np.sqrt(20.0 / votes)
    expected = -by_grid(1.5, widest, votes / 2, votes / 2) / votes
    assert float(found) == pytest.approx(expected, rel=1e-5)


@given(
    d=st.floats(-30, 30),
    r=st.floats(0, 6),
    votes=st.floats(1, 19),
    share=st.floats(0, 1),
)
@settings(max_examples=40, deadline=None)
def test_anywhere(d: float, r: float, votes: float, share: float) -> None:
    won, lost = votes * share, votes * (1 - share)
    expected = by_grid(d, r, won, lost)
    assert value(d, r, won, lost) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    d = torch.randn(12, generator=generator, dtype=DOUBLE).mul_(3).requires_grad_()
    r = torch.rand(12, generator=generator, dtype=DOUBLE).mul_(5).requires_grad_()
    won = torch.randint(0, 13, (12,), generator=generator).to(DOUBLE)

    def likelihood(d: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        return log_panel_likelihood(d, r, won, 12.0 - won)

    assert torch.autograd.gradcheck(likelihood, (d, r))


def test_one_vote_or_small_sigmas_are_thurstones() -> None:
    generator = torch.Generator().manual_seed(1)
    mean = 4 * torch.randn(2, 50, generator=generator, dtype=DOUBLE)
    wide = 3 * torch.rand(2, 50, generator=generator, dtype=DOUBLE) + 0.1
    target = torch.rand(50, generator=generator, dtype=DOUBLE)
    certain = target.round()
    a, b = Scores(mean[0], wide[0]), Scores(mean[1], wide[1])
    torch.testing.assert_close(PanelThurstone(votes=1.0)(a, b, certain), Thurstone()(a, b, certain))
    a, b = Scores(mean[0], 0.2 * wide[0]), Scores(mean[1], 0.2 * wide[1])
    torch.testing.assert_close(
        PanelThurstone(votes=12.0)(a, b, target), Thurstone()(a, b, target), rtol=1e-6, atol=1e-6
    )


def test_sigma_grows_where_votes_agree_unforeseen_and_not_where_people_are_divided() -> None:
    loss = PanelThurstone(votes=12.0)
    here = torch.zeros(2, dtype=DOUBLE)
    sigma = torch.full((2,), 1.5, dtype=DOUBLE, requires_grad=True)
    # Equal scores, and either all twelve votes for one of them, or six to six.
    values = loss(Scores(here, sigma), Scores(here, sigma), torch.tensor([1.0, 0.5], dtype=DOUBLE))
    (slope,) = torch.autograd.grad(values.sum(), sigma)
    assert float(slope[0]) < 0.0 < float(slope[1])
    # Thurstone's own loss sees a probability of one half both times.
    plain = Thurstone()(Scores(here, sigma), Scores(here, sigma), torch.tensor([1.0, 0.5]).double())
    (slope,) = torch.autograd.grad(plain.sum(), sigma)
    assert slope.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("truth", [1.5, 4.0])
def test_it_finds_the_sigma_that_voters_share(truth: float) -> None:
    rng = np.random.default_rng(0)
    pairs, votes = 20_000, 10
    liking = 0.8 + np.sqrt(truth**2 - 1.0) * rng.standard_normal(pairs)
    seen = liking[:, None] + rng.standard_normal((pairs, votes)) > 0
    counts = np.bincount(seen.sum(1), minlength=votes + 1)
    share = torch.arange(votes + 1, dtype=DOUBLE) / votes
    weight = torch.from_numpy(counts / pairs)
    mean = torch.zeros((), dtype=DOUBLE, requires_grad=True)
    log_s = torch.zeros((), dtype=DOUBLE, requires_grad=True)
    optimizer = torch.optim.LBFGS([mean, log_s], max_iter=60, line_search_fn="strong_wolfe")
    nothing = torch.zeros(votes + 1, dtype=DOUBLE)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        sigma = (1.001 + log_s.exp()).expand(votes + 1)
        scores = Scores(mean.expand(votes + 1), sigma)
        value = (
            weight * PanelThurstone(votes=float(votes))(scores, Scores(nothing, nothing), share)
        ).sum()
        value.backward()
        return value

    optimizer.step(step)
    assert float(1.001 + log_s.detach().exp()) == pytest.approx(truth, rel=0.03)
    assert float(mean.detach()) == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize("votes", [0.5, 0.0, -1.0, float("nan")])
def test_votes_are_at_least_one(votes: float) -> None:
    with pytest.raises(ConfigError):
        PanelThurstone(votes=votes)


@pytest.mark.parametrize("sigma", [1e-3, 0.05, 1.9])
def test_gradients_in_float32_hold_for_pairs_in_the_wrong_order(sigma: float) -> None:
    found: dict[torch.dtype, list[torch.Tensor]] = {}
    for dtype in (torch.float32, DOUBLE):
        d = torch.tensor([-1.0, -3.0, -10.0, -300.0], dtype=dtype, requires_grad=True)
        s = torch.full_like(d, sigma, requires_grad=True)
        zero, ones = torch.zeros(4, dtype=dtype), torch.ones(4, dtype=dtype)
        values = PanelThurstone()(Scores(d, s), Scores(zero, s), ones)
        found[dtype] = [x.double() for x in torch.autograd.grad(values.sum(), (d, s))]
    for single, double in zip(*found.values(), strict=True):
        torch.testing.assert_close(single, double, rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("share", [1.0, 0.7, 0.0])
def test_the_likelihood_goes_on_where_the_grid_ends(share: float) -> None:
    """Far out all is normal: by completing squares, to one part in the square of the distance."""
    votes, r = 10.0, torch.tensor([0.0, 0.5, 3.0], dtype=DOUBLE)
    won, lost = (torch.full_like(r, votes * part) for part in (share, 1.0 - share))
    for side in (-1.0, 1.0):
        against = lost if side > 0 else won
        for far in (9.9e3, 1.1e4, 1e8):
            d = torch.full_like(r, side * far).requires_grad_()
            value = log_panel_likelihood(d, r, won, lost)
            (slope,) = torch.autograd.grad(value.sum(), d)
            wanted = -against * side * far / (1.0 + against * r.square())
            torch.testing.assert_close(slope, wanted, rtol=1e-5, atol=1e-9)
