"""Tests of the triton gated activation against its definition in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from librehps.kernels.swiglu import swiglu
from librehps.kernels.swiglu.reference import swiglu_reference
from librehps.kernels.swiglu.torch_swiglu import swiglu_torch
from librehps.kernels.swiglu.triton_swiglu import swiglu_triton
from librehps.testing.agreement import disagreement, results_and_gradients
from librehps.testing.tolerances import TOLERANCES

DTYPES = [torch.float64, torch.float32, torch.float16]
# The interpreter computes wrongly in bfloat16, so that only a GPU can show anything about it.
DTYPES += [torch.bfloat16] if torch.cuda.is_available() else []
SHAPES = [(1, 8), (37, 24), (2, 5, 3, 40), (700, 5), (19, 128), (3, 2500)]


def inputs(
    shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, *, scale: float = 1.0
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    gate, up = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return {"gate": (gate * scale).to(device, dtype), "up": up.to(device, dtype)}


def agrees(tensors: dict[str, Tensor]) -> None:
    errors = disagreement(swiglu_triton, swiglu_reference, tensors)
    dtype = str(tensors["gate"].dtype).removeprefix("torch.")
    assert set(errors) == {"y0", "gate", "up"}
    assert max(errors.values()) <= TOLERANCES[f"norms_{dtype}"].limit, errors


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward_and_gradients_equal_the_definition(
    shape: tuple[int, ...], dtype: torch.dtype, triton_device: torch.device
) -> None:
    agrees(inputs(shape, dtype, triton_device))


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e3, 1e30])
def test_huge_and_tiny_values(scale: float, triton_device: torch.device) -> None:
    agrees(inputs((37, 24), torch.float32, triton_device, scale=scale))


def test_silu_is_rounded_before_the_product(triton_device: torch.device) -> None:
    own = inputs((64, 128), torch.float16, triton_device)
    # Without the rounding a third of the elements differ in the last bit.
    assert (swiglu_triton(**own) == swiglu_torch(**own)).double().mean() > 0.99


def test_strides_are_kept_and_nothing_outside_is_read(triton_device: torch.device) -> None:
    whole = torch.full((4, 9, 64), float("nan"), device=triton_device)
    generator = torch.Generator(triton_device).manual_seed(0)
    gate, up = whole[1:3, :, 5:29], whole[1:3, :, 31:55]
    for part in (gate, up):
        part.normal_(generator=generator)
    agrees({"gate": gate, "up": up})
    agrees({"gate": gate.transpose(1, 2), "up": torch.randn(2, 24, 9, device=triton_device)})


def test_an_upstream_gradient_without_strides(triton_device: torch.device) -> None:
    own = inputs((6, 24), torch.float32, triton_device)
    results = []
    for function in (swiglu_triton, swiglu_reference):
        leaves = [tensor.clone().requires_grad_() for tensor in own.values()]
        results.append(torch.autograd.grad(function(*leaves).sum(), leaves))
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_no_rows(triton_device: torch.device) -> None:
    found = results_and_gradients(swiglu_triton, inputs((0, 3, 8), torch.float32, triton_device))
    assert [tuple(tensor.shape) for tensor in found.values()] == [(0, 3, 8)] * 3


def test_a_row_does_not_depend_on_the_others(triton_device: torch.device) -> None:
    own = inputs((9, 1500), torch.float32, triton_device)
    packed = swiglu_triton(**own)
    for row in range(9):
        alone = swiglu_triton(*(tensor[row : row + 1].clone() for tensor in own.values()))
        assert torch.equal(alone[0], packed[row])


def test_the_op_takes_it_by_name(triton_device: torch.device) -> None:
    own = inputs((5, 24), torch.float16, triton_device)
    y = swiglu(**own, impl="triton")
    assert y.dtype == torch.float16
    assert torch.equal(y, swiglu_triton(**own))
