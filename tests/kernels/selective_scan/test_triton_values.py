"""Tests of the gradients of what is written."""

from __future__ import annotations

from typing import Any

import torch

from librehps.kernels.selective_scan.triton_selective_scan import selective_scan_triton
from librehps.testing.agreement import results_and_gradients
from librehps.testing.tolerances import TOLERANCES, relative_rms


def test_the_bypass_alone(scan_inputs: Any) -> None:
    tensors, bounds = scan_inputs(lengths=(2, 20), without=("dt_bias", "z", "initial_state"))
    tensors["dt"].zero_()
    found = results_and_gradients(selective_scan_triton, tensors, cu_seqlens=bounds, chunk_size=16)
    twice = tensors | {"D": 2 * tensors["D"]}
    again = results_and_gradients(selective_scan_triton, twice, cu_seqlens=bounds, chunk_size=16)
    assert relative_rms(again["x"], 2 * found["x"]) == 0
    # The gradient of D is that of y times x, summed; y is D x here.
    total = (found["D"].double() * tensors["D"].double()).sum()
    grad_y = found["x"].double() / tensors["D"].double()[:, None]
    wanted = (grad_y * found["y0"].double()).sum()
    assert abs(total - wanted) <= TOLERANCES["selective_scan_triton_float32"].limit * wanted.abs()


def test_values_of_several_blocks_and_limited_steps(scan_inputs: Any, scan_agrees: Any) -> None:
    tensors, bounds = scan_inputs(lengths=(3, 17), width=3, depth=40)
    scan_agrees(tensors, bounds, limit=(0.4, 1.1))


def test_what_is_written_with_step_zero_has_no_gradient(scan_inputs: Any) -> None:
    tensors, bounds = scan_inputs(lengths=(20,), without=("dt_bias", "D"))
    tensors["dt"] = tensors["dt"].abs()
    tensors["dt"][7] = 0
    found = results_and_gradients(selective_scan_triton, tensors, cu_seqlens=bounds, chunk_size=16)
    assert not found["x"][7].any()
    assert found["x"][[6, 8]].all()
    assert torch.isfinite(found["dt"]).all()
