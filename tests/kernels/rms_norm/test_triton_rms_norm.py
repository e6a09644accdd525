"""Tests of the triton zero-centred RMS norm against its definition in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from librehps.kernels import triton_rows
from librehps.kernels.rms_norm import rms_norm
from librehps.kernels.rms_norm.reference import rms_norm_reference
from librehps.kernels.rms_norm.triton_rms_norm import rms_norm_triton
from librehps.testing.agreement import disagreement, results_and_gradients
from librehps.testing.tolerances import TOLERANCES

DTYPES = [torch.float64, torch.float32, torch.float16]
# The interpreter computes wrongly in bfloat16, so that only a GPU can show anything about it.
DTYPES += [torch.bfloat16] if torch.cuda.is_available() else []
SHAPES = [(1, 8), (37, 24), (2, 5, 3, 40), (700, 5), (19, 128), (3, 2560)]


def inputs(
    shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, *, scale: float = 1.0
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
    weight = torch.randn(shape[-1], generator=generator)
    return {"x": x.to(device, dtype), "weight": weight.to(device, dtype)}


def agrees(tensors: dict[str, Tensor], *, eps: float = 1e-6) -> None:
    errors = disagreement(rms_norm_triton, rms_norm_reference, tensors, eps=eps)
    dtype = str(tensors["x"].dtype).removeprefix("torch.")
    assert set(errors) == {"y0", "x", "weight"}
    assert max(errors.values()) <= TOLERANCES[f"norms_{dtype}"].limit, errors


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward_and_gradients_equal_the_definition(
    shape: tuple[int, ...], dtype: torch.dtype, triton_device: torch.device
) -> None:
    agrees(inputs(shape, dtype, triton_device))


def test_rows_that_do_not_exist_add_nothing_without_eps(triton_device: torch.device) -> None:
    agrees(inputs((37, 24), torch.float32, triton_device), eps=0.0)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e17])
def test_huge_and_tiny_values(scale: float, triton_device: torch.device) -> None:
    agrees(inputs((37, 24), torch.float32, triton_device, scale=scale))


def test_each_program_takes_several_tiles(
    triton_device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_rows, "_PARTIALS", 3)
    agrees(inputs((333, 128), torch.float32, triton_device))


def test_strides_are_kept_and_nothing_outside_is_read(triton_device: torch.device) -> None:
    whole = torch.full((4, 9, 48), float("nan"), device=triton_device)
    x = whole[1:3, :, 5:29]
    x.normal_(generator=torch.Generator(triton_device).manual_seed(0))
    weight = torch.randn(24, 3, device=triton_device)[:, 1]
    agrees({"x": x, "weight": weight})
    agrees({"x": x.transpose(1, 2), "weight": torch.randn(9, device=triton_device)})


def test_an_upstream_gradient_without_strides(triton_device: torch.device) -> None:
    own = inputs((6, 24), torch.float32, triton_device)
    results = []
    for function in (rms_norm_triton, rms_norm_reference):
        leaves = [tensor.clone().requires_grad_() for tensor in own.values()]
        results.append(torch.autograd.grad(function(*leaves, eps=1e-6).sum(), leaves))
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_no_rows(triton_device: torch.device) -> None:
    found = results_and_gradients(
        rms_norm_triton, inputs((0, 3, 8), torch.float32, triton_device), eps=1e-6
    )
    assert [tuple(found[name].shape) for name in ("y0", "x")] == [(0, 3, 8)] * 2
    assert torch.equal(found["weight"], torch.zeros(8, device=triton_device))


def test_a_row_does_not_depend_on_the_others(triton_device: torch.device) -> None:
    own = inputs((70, 128), torch.float32, triton_device)
    packed = rms_norm_triton(**own, eps=1e-6)
    for row in (0, 7, 8, 69):
        alone = rms_norm_triton(own["x"][row : row + 1].clone(), own["weight"], eps=1e-6)
        assert torch.equal(alone[0], packed[row])


def test_two_runs_are_equal_to_the_last_bit(triton_device: torch.device) -> None:
    own = inputs((700, 128), torch.float32, triton_device)
    first, second = (results_and_gradients(rms_norm_triton, own, eps=1e-6) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_op_takes_it_by_name(triton_device: torch.device) -> None:
    own = inputs((5, 24), torch.float16, triton_device)
    y = rms_norm(**own, eps=1e-6, impl="triton")
    assert y.dtype == torch.float16
    assert torch.equal(y, rms_norm_triton(**own, eps=1e-6))
