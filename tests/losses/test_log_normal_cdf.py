"""``log Phi`` and its slope, against scipy in float64."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy import special

from librehps.losses.log_normal_cdf import log_ndtr, mills_inverse

PLACES = np.array([-1e6, -1e4, -200.0, -106.0, -30.0, -7.0, -1.0, -1e-3, 0.0, 0.5, 3.0, 8.0])


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_value_and_slope_hold_far_out(dtype: torch.dtype, limit: float) -> None:
    x = torch.from_numpy(PLACES).to(dtype).requires_grad_()
    value = log_ndtr(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    exact = x.detach().double().numpy()
    # Twice phi over twice Phi, both scaled by exp(x²/2).
    wanted = np.sqrt(2 / np.pi) / special.erfcx(-exact / np.sqrt(2))
    np.testing.assert_allclose(value.detach(), special.log_ndtr(exact), rtol=10 * limit, atol=1e-37)
    np.testing.assert_allclose(slope, wanted, rtol=3 * limit, atol=1e-37)
    np.testing.assert_allclose(mills_inverse(x.detach()), wanted, rtol=3 * limit, atol=1e-37)


def test_the_end_of_float32_has_no_slope_and_no_nan() -> None:
    x = torch.tensor([-1e30, -float("inf"), float("inf")], requires_grad=True)
    value = log_ndtr(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert value.isfinite().all()
    assert slope.tolist() == [0.0, 0.0, 0.0]


def test_the_slope_is_that_of_the_value() -> None:
    x = torch.linspace(-8, 8, 33, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(log_ndtr, (x,))


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 3e-5), (torch.float64, 1e-11)])
def test_the_curvature_holds_far_out(dtype: torch.dtype, limit: float) -> None:
    places = [-1e8, -200.0, -100.5, -99.5, -50.0, -12.5, -11.5, -5.0, -1.0, 0.0, 1.0, 5.0, 60.0]
    x = torch.tensor(places, dtype=dtype, requires_grad=True)
    (slope,) = torch.autograd.grad(log_ndtr(x).sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    # By the continued fraction of Mills' ratio, in exact arithmetic, where the tail has one.
    for place, found in zip(places, curvature.tolist(), strict=True):
        if place <= -5.0:
            far = Fraction(-place)
            step = Fraction(0)
            for term in range(60, 1, -1):
                step = term / (far + step)
            over = 1 / (far + step)  # h + x = 1 / (t + 2 / (t + 3 / ...)) with t = -x
            wanted = -float((far + over) * over)
        else:
            slope_there = float(np.sqrt(2 / np.pi) / special.erfcx(-place / np.sqrt(2)))
            wanted = -slope_there * (place + slope_there)
        assert found == pytest.approx(wanted, rel=limit, abs=1e-37)


# torch's forward mode compiles rules of its own in a way that it says is going away.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_second_derivatives_and_function_transforms() -> None:
    x = torch.linspace(-8, 8, 17, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(log_ndtr, (x,))
    (slope,) = torch.autograd.grad(log_ndtr(x).sum(), x)
    rows = x.detach()
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(log_ndtr))(rows), slope)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(rows, torch.ones_like(rows))
        tangent = torch.autograd.forward_ad.unpack_dual(log_ndtr(dual)).tangent
    torch.testing.assert_close(tangent, slope)
