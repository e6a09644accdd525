"""Tests of steps and cumulative decays, and of their gradients."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from librehps.kernels.selective_scan.triton_chunks import chunk_slots
from librehps.kernels.selective_scan.triton_steps import step_gradients, steps_and_decays
from librehps.testing.poison import poisoned_memory
from librehps.testing.tolerances import TOLERANCES, relative_rms

LENGTHS = (20, 3)
HEADS = 19
LIMIT = TOLERANCES["selective_scan_triton_float32"].limit


def inputs(device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return steps from deep below to high above the knee, rates, biases and chunks."""
    generator = torch.Generator().manual_seed(0)
    dt = torch.randn(sum(LENGTHS), HEADS, generator=generator) * 14
    rates, bias = -torch.rand(HEADS, generator=generator), torch.randn(HEADS, generator=generator)
    bounds = torch.tensor([0, *LENGTHS]).cumsum(0)
    slots = chunk_slots(bounds, 16, tokens=sum(LENGTHS))
    return dt.to(device), rates.to(device), bias.to(device), slots.to(device)


def definition(
    dt: Tensor, bias: Tensor | None, *, softplus: bool, limit: tuple[float, float]
) -> Tensor:
    step = dt.double() if bias is None else dt.double() + bias.double()
    return (F.softplus(step) if softplus else step).clamp(*limit)


@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("limit", [(0.0, inf), (0.25, 2.5)], ids=str)
def test_steps_decays_and_gradients_are_those_of_the_formula(
    softplus: bool, limit: tuple[float, float], triton_device: torch.device
) -> None:
    dt, rates, bias, slots = inputs(triton_device)
    options: dict[str, Any] = {"softplus": softplus, "limit": limit}
    with poisoned_memory():
        step, decay = steps_and_decays(dt, rates, bias, slots, chunk_size=16, **options)
    leaves = [tensor.double().requires_grad_() for tensor in (dt, bias)]
    wanted = definition(*leaves, **options)
    # Each step by itself: small ones, too, are right to the last digits.
    assert ((step - wanted).abs() <= 1e-6 * wanted).all()
    log_decay = (wanted * rates.double()).clamp(min=-1e3)
    totals = [part.cumsum(0) for part in log_decay.split([16, 4, 3])]
    assert relative_rms(decay.double().sum(-1), torch.cat(totals)) <= 1e-13
    generator = torch.Generator().manual_seed(1)
    grad_step, grad_decay = (
        torch.randn(dt.shape, generator=generator).to(triton_device) for _ in range(2)
    )
    with poisoned_memory():
        found = step_gradients(
            dt, rates, bias, slots, grad_step, grad_decay, chunk_size=16, **options
        )
    upstream = grad_step.double() + grad_decay.double() * rates.double()
    grad_dt, grad_bias = torch.autograd.grad(wanted, leaves, upstream)
    grad_rate = (grad_decay.double() * wanted.detach()).sum(0)
    for actual, expected in zip(found, (grad_dt, grad_rate, grad_bias), strict=True):
        assert actual is not None
        assert relative_rms(actual, expected) <= LIMIT


def test_a_sum_keeps_what_comes_after_a_strong_decay(triton_device: torch.device) -> None:
    dt, rates, _, slots = inputs(triton_device)
    dt = torch.full_like(dt, 1e-3)
    dt[2] = 1e30
    decay = steps_and_decays(
        dt, -torch.ones_like(rates), None, slots, softplus=False, limit=(0.0, inf), chunk_size=16
    )[1]
    between = (decay[9] - decay[2]).double().sum(-1)
    assert ((between + 7e-3).abs() <= 1e-9).all()
    assert decay.isfinite().all()
