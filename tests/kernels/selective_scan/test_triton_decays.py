"""Tests of the gradients of the decays: what should vanish does, and nothing cancels."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from librehps.kernels.selective_scan.triton_selective_scan import selective_scan_triton
from librehps.testing.agreement import results_and_gradients


@pytest.mark.parametrize("rate", [0.0, 1e-3, 100.0])
def test_no_decay_a_weak_one_and_a_strong_one(
    rate: float, scan_inputs: Any, scan_agrees: Any
) -> None:
    scan_agrees(*scan_inputs(lengths=(1, 34), per_group=1, rate=rate))


@pytest.mark.parametrize("rate", [-50.0, -1e30], ids=str)
def test_a_gradient_that_vanishes_does_so_to_the_last_digit(rate: float, scan_inputs: Any) -> None:
    tensors, bounds = scan_inputs(lengths=(1, 20), without=("dt_bias", "initial_state"))
    tensors["dt"] = torch.ones_like(tensors["dt"])
    tensors["A"] = torch.full_like(tensors["A"], rate)
    found = results_and_gradients(selective_scan_triton, tensors, cu_seqlens=bounds, chunk_size=16)
    assert all(tensor.isfinite().all() for tensor in found.values())
    # Each token's own decay is in 16 pairs at most and the state before it, each exp(-50) or less.
    assert found["A"].abs().max() < 1e-16


def test_a_strong_decay_in_the_middle_spoils_nothing_after_it(
    scan_inputs: Any, scan_agrees: Any
) -> None:
    tensors, bounds = scan_inputs(lengths=(20,), per_group=1, rate=0.05, without=("dt_bias",))
    tensors["dt"] = tensors["dt"].abs()
    tensors["dt"][5] = 1e4
    tensors["x"][5] *= 1e-4
    scan_agrees(tensors, bounds, softplus=False)
