"""The likelihood of a panel's votes, in which sigma can be told from the votes' own noise.

A probability of 1/2 has two meanings: people are divided, or they agree and the model does not know
on what. One vote cannot tell them apart, and so neither can a loss that only sees the share of
votes: with it, sigma is whatever the way to the optimum made of it. Ten votes can. Where people are
divided they fall five to five; where the model does not know, they fall ten to none one way or the
other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from librehps.losses.log_normal_cdf import FURTHEST, log_ndtr, mills_inverse
from librehps.losses.protocol import LOSSES, Scores, check_number, difference, spread
from librehps.typing import Float, Tensor

__all__ = ["PanelThurstone", "log_panel_likelihood"]

# Differences beyond it, in units of a voter's noise, have lost the digits that the integral needs;
# the value goes on there as the parabola that it is to one part in the square of this.
_DIGITS_END = 1e4
# The grid resolves the likelihood of so many votes up to this r; what counts is r² times votes.
_VOTES, _WIDEST = 20.0, 12.0
_END, _NODES = 8.0, 513
_HALVINGS = 48


@LOSSES.register("panel_thurstone")
@dataclass(frozen=True)
class PanelThurstone:
    """``-1/n log E[Phi(m)^(n y) Phi(-m)^(n (1 - y))]`` with ``m = (d + r x) / v``, ``x ~ N(0, 1)``.

    Voters see the difference ``d`` with noise of variance ``s² = sigma_a² + sigma_b²``, as in
    `Thurstone`. Of it ``v² = min(s², 1)`` is each voter's own and drawn anew for each, and what is
    left, ``r² = s² - v²``, is shared by all of them: it is what the model does not know of this
    pair. So the unit of the scores is a voter's noise; a single vote still has the probability
    ``Phi(d / s)``; and sigma grows where votes agree in a way that the scores do not foresee. With
    ``s <= 1``, or one vote, this is `Thurstone`.

    Sigmas with ``r > 12`` count as 12: such a pair is unknown through and through. With more than
    20 votes that bound is ``12 sqrt(20 / n)``, as far as the integral is exact.

    Args:
        votes: How many votes a target stands for, ``n``; at least 1.

    Raises:
        ConfigError: Fewer than one vote (code ``loss_value``).

    References:
        Thurstone, "A law of comparative judgment", 1927, case III; for the shared effect
        Bock and Lieberman, "Fitting a response model for n dichotomously scored items", 1970,
        equation 4.
    """

    votes: float = 10.0

    uses_sigma: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_number("votes", self.votes, low=1.0)

    def __call__(
        self, a: Scores, b: Scores, target: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Return the loss of each pair, in nats per vote; see ``PairLoss``."""
        d, y = difference(a, b, target)
        s = spread(a, b).to(d.dtype)
        own = s.clamp(max=1.0)
        widest = _WIDEST * min(1.0, math.sqrt(_VOTES / self.votes))
        # At zero the slope of the root has no bound.
        shared = (s.square() - 1.0).clamp(min=1e-12).sqrt().clamp(max=widest)
        won, lost = self.votes * y, self.votes * (1.0 - y)
        return -log_panel_likelihood(d / own, shared, won, lost) / self.votes


def log_panel_likelihood(
    d: Float[Tensor, "*batch"],
    r: Float[Tensor, "*batch"],
    won: Float[Tensor, "*batch"],
    lost: Float[Tensor, "*batch"],
) -> Float[Tensor, "*batch"]:
    """Return ``log E[Phi(d + r x)^won Phi(-d - r x)^lost]`` for a standard normal ``x``.

    It is worked out in float64: the gradient is made of the shares of the nodes, which have lost
    all digits of float32 where hundreds of nats are to be compared.

    The integrand is log-concave and falls at least as fast as the normal density around its peak.
    The peak is found by halving an interval, and evenly spaced nodes on both sides of it converge
    geometrically while they are closer than the integrand is wide. For ``r`` up to 12 the error in
    float64 is under 1e-9, or under that share of the value, where ``r² (won + lost)`` is at most
    1400, and under 1e-5 at 2880, which is 20 votes at ``r = 12``. Far above, the value is wrong.

    Args:
        d: Differences in units of a voter's noise, float32 or float64; no further than 1e18 counts.
        r: Standard deviations of what the voters share, not negative.
        won: Votes for the first item; fractions will do.
        lost: Votes for the second item.

    References:
        Trefethen and Weideman, "The exponentially convergent trapezoidal rule", 2014.
    """
    dtype = d.dtype
    d, r, won, lost = (x.double() for x in (d, r, won, lost))
    d = d.clamp(min=-FURTHEST, max=FURTHEST)
    near = d.clamp(min=-_DIGITS_END, max=_DIGITS_END)
    # Far out only those count who voted against the difference.
    against = torch.where(d > 0, lost, won)
    beyond = 0.5 * against / (1.0 + against * r.square()) * (d.square() - near.square())
    peak = _peak(near.detach(), r.detach(), won, lost)
    steps = torch.linspace(-_END, _END, _NODES, dtype=d.dtype, device=d.device)
    x = peak[..., None] + steps
    m = near[..., None] + r[..., None] * x
    votes = _weighed(won[..., None], m) + _weighed(lost[..., None], -m)
    width = 2.0 * _END / (_NODES - 1)
    scale = math.log(width) - 0.5 * math.log(2.0 * math.pi)
    return (torch.logsumexp(votes - 0.5 * x.square(), dim=-1) + scale - beyond).to(dtype)


def _weighed(votes: Tensor, m: Tensor) -> Tensor:
    return votes * log_ndtr(m)


def _peak(d: Tensor, r: Tensor, won: Tensor, lost: Tensor) -> Tensor:
    """Return where the integrand is largest: the root of a function that falls everywhere."""
    # Between no votes against and none for: there the slope has opposite signs.
    low, high = -r * lost * mills_inverse(-d), r * won * mills_inverse(d)
    for _ in range(_HALVINGS):
        x = 0.5 * (low + high)
        m = d + r * x
        rises = r * (won * mills_inverse(m) - lost * mills_inverse(-m)) > x
        low, high = torch.where(rises, x, low), torch.where(rises, high, x)
    return 0.5 * (low + high)
