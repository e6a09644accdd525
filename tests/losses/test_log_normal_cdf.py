"""``log Phi`` and its slope, against scipy in float64."""

from __future__ import annotations

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
