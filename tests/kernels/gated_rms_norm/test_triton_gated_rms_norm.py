"""Tests of the triton gated RMS norm alone; `tests/kernels/test_triton_rows.py` has the rest."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from librehps.kernels.gated_rms_norm.reference import gated_rms_norm_reference
from librehps.kernels.gated_rms_norm.torch_gated_rms_norm import gated_rms_norm_torch
from librehps.kernels.gated_rms_norm.triton_gated_rms_norm import gated_rms_norm_triton
from librehps.testing.agreement import disagreement
from librehps.testing.tolerances import TOLERANCES


def inputs(*shape: int, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"x": shape, "gate": shape, "weight": shape[-1:]}
    return {
        name: torch.randn(size, generator=generator).to(device, dtype)
        for name, size in shapes.items()
    }


def agrees(tensors: dict[str, Tensor], limit: str) -> None:
    errors = disagreement(gated_rms_norm_triton, gated_rms_norm_reference, tensors, eps=1e-6)
    assert max(errors.values()) <= TOLERANCES[limit].limit, errors


def test_the_weight_may_stay_wider_than_the_rest(triton_device: torch.device) -> None:
    own = inputs(37, 24, dtype=torch.float16, device=triton_device)
    agrees({**own, "weight": own["weight"].float()}, "norms_float16")


@pytest.mark.parametrize("weight_dtype", [torch.float16, torch.float32], ids=str)
def test_roundings_on_the_way_are_those_of_the_torch_kernel(
    weight_dtype: torch.dtype, triton_device: torch.device
) -> None:
    own = inputs(64, 128, dtype=torch.float16, device=triton_device)
    own["weight"] = own["weight"].to(weight_dtype)
    found = gated_rms_norm_triton(**own, eps=1e-6)
    # Without one of the roundings a third of the elements differ in the last bit.
    assert (found == gated_rms_norm_torch(**own, eps=1e-6)).double().mean() > 0.99


def test_a_gate_that_is_shut_or_wide_open(triton_device: torch.device) -> None:
    own = inputs(37, 24, dtype=torch.float32, device=triton_device)
    agrees({**own, "gate": own["gate"] * 1e4}, "norms_float32")
