"""Losses for scores with a sigma: the item is seen as its mean plus normal noise.

They differ in what is done with the noise. `Thurstone`: the noisier view that is larger wins.
`LogisticNormal`: the noisy difference is the log-odds of a vote, and the noise is integrated out
of the *likelihood*. `ExpectedLogistic`: it is integrated out of the *loss*, and that makes a model
that can choose its sigmas choose zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from librehps.losses.log_normal_cdf import log_ndtr
from librehps.losses.protocol import LOSSES, Scores, difference, spread
from librehps.losses.quadrature import expected_softplus, log_expected_sigmoid
from librehps.typing import Float, Tensor

__all__ = ["ExpectedLogistic", "LogisticNormal", "Thurstone"]


@LOSSES.register("thurstone")
@dataclass(frozen=True)
class Thurstone:
    """``-y log Phi(d / s) - (1 - y) log Phi(-d / s)``, with ``s² = sigma_a² + sigma_b²``.

    A probit: only the ratio of difference and sigmas counts, so their common scale is free. A pair
    in the wrong order raises sigma, a pair in the right order lowers it.

    References:
        Thurstone, "A law of comparative judgment", 1927, case III.
    """

    uses_sigma: ClassVar[bool] = True

    def __call__(
        self, a: Scores, b: Scores, target: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Return the loss of each pair; see ``PairLoss``."""
        d, y = difference(a, b, target)
        z = d / spread(a, b)
        return -y * log_ndtr(z) - (1 - y) * log_ndtr(-z)


@LOSSES.register("logistic_normal")
@dataclass(frozen=True)
class LogisticNormal:
    """``-y log E[sigmoid(z)] - (1 - y) log E[sigmoid(-z)]`` with ``z ~ N(d, sigma_a² + sigma_b²)``.

    The marginal likelihood of votes whose log-odds are only known up to normal noise: the default
    for heads with sigma. Sigma to zero gives Bradley-Terry; sigma to infinity gives ``log 2`` for
    every pair. A pair in the wrong order is less surprising the larger sigma is, so sigma grows
    where the model is wrong and shrinks where it is right.

    The integral has no closed form; see ``quadrature`` for the two rules. Nothing is drawn.

    References:
        Atchison and Shen, "Logistic-normal distributions", 1980; Bishop, "Pattern recognition and
        machine learning", section 4.5.2.
    """

    uses_sigma: ClassVar[bool] = True

    def __call__(
        self, a: Scores, b: Scores, target: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Return the loss of each pair; see ``PairLoss``."""
        d, y = difference(a, b, target)
        s = spread(a, b).to(d.dtype)
        a_wins, b_wins = log_expected_sigmoid(d, s)
        return -y * a_wins - (1 - y) * b_wins


@LOSSES.register("expected_logistic")
@dataclass(frozen=True)
class ExpectedLogistic:
    """``y E[-log sigmoid(z)] + (1 - y) E[-log sigmoid(-z)]``: HPSv3's loss, without its sampling.

    Here to be compared with, not to be chosen: **its sigma must collapse.** With
    ``f(z) = -y log sigmoid(z) - (1 - y) log sigmoid(-z)`` and ``z = d + s x``, ``x ~ N(0, 1)``::

        d/ds E[f(d + s x)] = E[x f'(d + s x)] = s E[f''(d + s x)]        (Stein's lemma)
                           = s E[sigmoid(z) sigmoid(-z)] > 0

    The slope does not depend on the label at all: right or wrong, every pair pulls sigma down, and
    its minimum is at ``s = 0``, where it is Bradley-Terry. The published code draws 1000 normal
    numbers per pair for the same integral; here it is computed.

    References:
        Ma et al., "HPSv3: Towards Wide-Spectrum Human Preference Score", arXiv 2508.03789.
    """

    uses_sigma: ClassVar[bool] = True

    def __call__(
        self, a: Scores, b: Scores, target: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Return the loss of each pair; see ``PairLoss``."""
        d, y = difference(a, b, target)
        s = spread(a, b).to(d.dtype)
        return y * expected_softplus(d, s) + (1 - y) * expected_softplus(-d, s)
