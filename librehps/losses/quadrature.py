"""Expectations of the logistic function under a normal variable, without random numbers.

With ``z ~ N(d, s²)`` this file computes ``log E[sigmoid(z)]`` and ``E[-log sigmoid(z)]``. Against
a fine grid in float64, for ``|d|`` and ``s`` up to 1000, the first is right to 3e-9 of its value in
float64 and 5e-6 in float32; so is the second where it is above 1e-10. Two rules share the work,
since each is exact where the other is not:

- ``s <= 2``: Gauss-Hermite over ``z``. The logistic function has poles at ``±iπ``, that is at a
  distance of ``π / s`` in units of the nodes, so it converges fast while ``s`` is small.
- ``s > 2``: ``sigmoid(z)`` is the probability that a standard logistic variable ``L`` lies below
  ``z``, so ``E[sigmoid(z)] = E[Phi((d - L) / s)]``; and ``-log sigmoid(z) = E[max(L - z, 0)]``, so
  its expectation is ``E[s (phi(u) + u Phi(u))]`` with ``u = (L - d) / s``. As functions of ``L``
  these are smooth and broad. With ``L = pi sinh(t)`` the poles of the density, at ``±iπ``, lie at
  ``±iπ/2``, and the tails end soon: evenly spaced ``t`` converge geometrically.

References:
    Liu and Pierce, "A note on Gauss-Hermite quadrature", 1994; Trefethen and Weideman, "The
    exponentially convergent trapezoidal rule", 2014.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch.nn import functional as F

from librehps.losses.log_normal_cdf import log_ndtr
from librehps.typing import Float, Tensor

__all__ = ["expected_softplus", "log_expected_sigmoid"]

_SEAM = 2.0
_HERMITE_NODES = 48
# Spacing and end of t: L reaches 980, where the density is zero even in logarithms of float32.
_STEP = 0.125
_END = 6.5


def log_expected_sigmoid(
    d: Float[Tensor, "*batch"], s: Float[Tensor, "*batch"]
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Return ``log E[sigmoid(z)]`` and ``log E[sigmoid(-z)]`` for ``z ~ N(d, s²)``.

    Args:
        d: Means, float32 or float64.
        s: Standard deviations, not negative.
    """
    # The smaller of the two expectations is computed, the other one is what it leaves of 1. The
    # sign is chosen by where(), not by abs(), whose slope at zero would be zero.
    positive = d > 0
    low = torch.where(positive, -d, d)
    nodes, weights = _hermite(d)
    # log sigmoid(z) = z - log(1 + e^z), and the mean of z is taken out of the sum: beside a large
    # one the weights would be rounded away, and the gradient is made of them.
    noise = s.clamp(max=_SEAM)[..., None] * nodes
    terms = noise - F.softplus(low[..., None] + noise) + weights.log()
    narrow = low + torch.logsumexp(terms, dim=-1)
    # The rule that is not chosen is asked about a place where its gradient is finite: 0 times
    # infinity would be NaN.
    wide = s > _SEAM
    broad = _log_tail(torch.where(wide, low, 0.0), s.clamp(min=_SEAM))
    tail = torch.where(wide, broad, narrow)
    rest = _log_one_minus(tail)
    return torch.where(positive, rest, tail), torch.where(positive, tail, rest)


def expected_softplus(
    d: Float[Tensor, "*batch"], s: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """Return ``E[log(1 + e^-z)] = E[-log sigmoid(z)]`` for ``z ~ N(d, s²)``.

    Args:
        d: Means, float32 or float64.
        s: Standard deviations, not negative.
    """
    nodes, weights = _hermite(d)
    z = d[..., None] + s.clamp(max=_SEAM)[..., None] * nodes
    narrow = (F.softplus(-z) * weights).sum(dim=-1)
    wide = s.clamp(min=_SEAM)[..., None]
    logistic, log_weights = _logistic(d)
    u = (logistic - d[..., None]) / wide
    excess = wide * _expected_excess(u)
    broad = (log_weights.exp() * excess).sum(dim=-1)
    return torch.where(s <= _SEAM, narrow, broad)


def _log_tail(d: Tensor, s: Tensor) -> Tensor:
    """Return ``log E[sigmoid(z)]`` for ``d <= 0`` and ``s >= 2``, over logistic nodes."""
    # Below -s² the integrand sits far from the logistic variable's own place. There
    # sigmoid(z) = e^z sigmoid(-z), and e^z only moves the mean of z by s².
    tilted = d < -s.square()
    mean = torch.where(tilted, d + s.square(), d)
    logistic, log_weights = _logistic(d)
    u = (mean[..., None] - logistic) / s[..., None]
    direct = torch.logsumexp(log_weights + log_ndtr(u), dim=-1)
    return torch.where(tilted, d + 0.5 * s.square() + _log_one_minus(direct), direct)


def _log_one_minus(log_p: Tensor) -> Tensor:
    """Return ``log(1 - p)`` for ``p <= 1/2``, which rounding may exceed a little."""
    return torch.log1p(-log_p.clamp(max=math.log(0.5) + 1e-5).exp())


def _expected_excess(u: Tensor) -> Tensor:
    """Return ``E[max(u - x, 0)] = phi(u) + u Phi(u)`` for a standard normal ``x``."""
    # Formed for -|u|, where the two terms cancel, from Mills' ratio, so that small values keep
    # their digits. where() and not abs(): the slope at zero is 1/2.
    low = torch.where(u > 0, -u, u)
    mills = math.sqrt(0.5 * math.pi) * torch.special.erfcx(-low / math.sqrt(2.0))
    density = torch.exp(-0.5 * low.square()) / math.sqrt(2.0 * math.pi)
    return F.relu(u) + density * (1.0 + low * mills)


@cache
def _hermite_table() -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(_HERMITE_NODES)
    return nodes, weights / weights.sum()


def _hermite(like: Tensor) -> tuple[Tensor, Tensor]:
    """Return nodes and weights for a standard normal variable, in the dtype of ``like``."""
    nodes, weights = (torch.from_numpy(values) for values in _hermite_table())
    return nodes.to(like), weights.to(like)


def _logistic(like: Tensor) -> tuple[Tensor, Tensor]:
    """Return nodes and logarithms of weights for a standard logistic variable."""
    count = round(_END / _STEP)
    t = _STEP * torch.arange(-count, count + 1, dtype=torch.float64)
    nodes = math.pi * t.sinh()
    log_weights = F.logsigmoid(nodes) + F.logsigmoid(-nodes) + (math.pi * _STEP * t.cosh()).log()
    return nodes.to(like), log_weights.to(like)
