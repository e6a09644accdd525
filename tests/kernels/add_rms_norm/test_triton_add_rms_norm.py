"""Tests of the triton kernels of the residual addition with the norm of the sum."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from librehps.kernels.add_rms_norm.reference import add_rms_norm_reference
from librehps.kernels.add_rms_norm.triton_add_rms_norm import add_rms_norm_triton
from librehps.testing.agreement import disagreement, results_and_gradients
from librehps.testing.tolerances import TOLERANCES, relative_rms


def inputs(*shape: int, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = {"x": shape, "residual": shape, "weight": shape[-1:]}
    return {
        name: torch.randn(size, generator=generator, dtype=torch.float64).to(device, dtype)
        for name, size in sizes.items()
    }


@pytest.mark.parametrize("shape", [(1, 8), (37, 24), (2, 5, 3, 40), (700, 5), (3, 2560)], ids=str)
def test_forward_and_gradients_equal_the_definition(
    shape: tuple[int, ...], kernel_dtype: torch.dtype, triton_device: torch.device
) -> None:
    tensors = inputs(*shape, dtype=kernel_dtype, device=triton_device)
    errors = disagreement(add_rms_norm_triton, add_rms_norm_reference, tensors, eps=1e-6)
    assert set(errors) == {"y0", "y1", *tensors}
    limit = TOLERANCES[f"norms_{str(kernel_dtype).removeprefix('torch.')}"].limit
    assert max(errors.values()) <= limit, errors


@pytest.mark.parametrize("wide", ["x", "residual"])
def test_terms_of_two_dtypes_have_gradients_of_their_own(
    wide: str, triton_device: torch.device
) -> None:
    tensors = inputs(9, 24, dtype=torch.float16, device=triton_device)
    tensors |= {name: tensors[name].float() for name in (wide, "weight")}
    found = results_and_gradients(add_rms_norm_triton, tensors, eps=1e-6)
    wanted = results_and_gradients(add_rms_norm_reference, tensors, eps=1e-6)
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype, name
        limit = "norms_float16" if value.dtype == torch.float16 else "norms_float32"
        assert relative_rms(found[name], value) <= TOLERANCES[limit].limit, name


def test_strides_are_kept(triton_device: torch.device) -> None:
    tensors = inputs(6, 16, dtype=torch.float32, device=triton_device)
    wide = inputs(6, 40, dtype=torch.float32, device=triton_device)
    strided = {"x": wide["x"][:, 8:24], "residual": wide["residual"][::1, :16]}
    given = {**strided, "weight": tensors["weight"]}
    copied = {name: tensor.contiguous() for name, tensor in given.items()}
    found = results_and_gradients(add_rms_norm_triton, given, eps=1e-6)
    wanted = results_and_gradients(add_rms_norm_triton, copied, eps=1e-6)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_what_is_not_used_later_has_no_gradient_to_add(triton_device: torch.device) -> None:
    tensors = inputs(5, 24, dtype=torch.float32, device=triton_device)
    for place in (0, 1):
        gradients: list[tuple[Tensor, ...]] = []
        for function in (add_rms_norm_triton, add_rms_norm_reference):
            own = [tensor.detach().clone().requires_grad_() for tensor in tensors.values()]
            made = function(*own, eps=1e-6)[place]
            gradients.append(torch.autograd.grad(made.square().sum(), own, allow_unused=True))
        for found, wanted in zip(*gradients, strict=True):
            torch.testing.assert_close(found, torch.zeros_like(found) if wanted is None else wanted)


def test_no_rows_are_no_rows(triton_device: torch.device) -> None:
    x = torch.empty(0, 8, device=triton_device, requires_grad=True)
    weight = torch.ones(8, device=triton_device, requires_grad=True)
    y, total = add_rms_norm_triton(x, x.detach(), weight, eps=1e-6)
    assert y.shape == total.shape == (0, 8)
    _, grad = torch.autograd.grad(y.sum(), (x, weight))
    assert torch.equal(grad, torch.zeros_like(grad))
