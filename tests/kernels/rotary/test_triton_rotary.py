"""Tests of the triton rotary embedding against its definition in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from librehps.kernels.rotary import rotary
from librehps.kernels.rotary.reference import rotary_reference
from librehps.kernels.rotary.torch_rotary import rotary_torch
from librehps.kernels.rotary.triton_rotary import rotary_triton
from librehps.testing.agreement import disagreement, results_and_gradients
from librehps.testing.tolerances import TOLERANCES

# Tokens, heads, width of a head, dimensions that turn.
SHAPES = [(1, 1, 2, 2), (5, 3, 10, 6), (3, 21, 16, 4), (4, 16, 72, 72), (2, 4, 256, 64)]


def inputs(
    shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor]:
    tokens, heads, width, turned = shape
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(tokens, heads, width, generator=generator)
    # Not those of one angle, and different in the halves: each of the four has its own part.
    cos, sin = (torch.randn(tokens, turned, generator=generator) for _ in range(2))
    made = {"x": x, "cos": cos, "sin": sin}
    return {name: tensor.to(device, dtype) for name, tensor in made.items()}


def agrees(tensors: dict[str, Tensor]) -> None:
    errors = disagreement(rotary_triton, rotary_reference, tensors)
    dtype = str(tensors["x"].dtype).removeprefix("torch.")
    assert set(errors) == {"y0", "x", "cos", "sin"}
    assert max(errors.values()) <= TOLERANCES[f"norms_{dtype}"].limit, errors


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward_and_gradients_equal_the_definition(
    shape: tuple[int, int, int, int], kernel_dtype: torch.dtype, triton_device: torch.device
) -> None:
    agrees(inputs(shape, kernel_dtype, triton_device))


def test_angles_may_be_wider_than_the_heads(triton_device: torch.device) -> None:
    own = inputs((5, 3, 10, 6), torch.float16, triton_device)
    agrees({**own, "cos": own["cos"].float(), "sin": own["sin"].float()})


def test_angles_that_need_no_gradient_get_none(triton_device: torch.device) -> None:
    own = inputs((5, 3, 10, 6), torch.float32, triton_device)
    angles = {name: own.pop(name) for name in ("cos", "sin")}

    def function(x: Tensor) -> Tensor:
        return rotary_triton(x, **angles)

    def definition(x: Tensor) -> Tensor:
        return rotary_reference(x, **{k: angle.double() for k, angle in angles.items()})

    errors = disagreement(function, definition, own)
    assert set(errors) == {"y0", "x"}
    assert max(errors.values()) <= TOLERANCES["norms_float32"].limit


@pytest.mark.parametrize("angle_dtype", [torch.float16, torch.float32], ids=str)
def test_roundings_on_the_way_are_those_of_the_torch_kernel(
    angle_dtype: torch.dtype, triton_device: torch.device
) -> None:
    own = inputs((16, 4, 64, 32), torch.float16, triton_device)
    own |= {name: own[name].to(angle_dtype) for name in ("cos", "sin")}
    assert torch.equal(rotary_triton(**own), rotary_torch(**own))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_huge_and_tiny_values(scale: float, triton_device: torch.device) -> None:
    own = inputs((5, 3, 10, 6), torch.float32, triton_device)
    agrees({**own, "x": own["x"] * scale})


def test_strides_are_kept_and_nothing_outside_is_read(triton_device: torch.device) -> None:
    whole = torch.full((7, 5, 30), float("nan"), device=triton_device)
    generator = torch.Generator(triton_device).manual_seed(0)
    x, cos, sin = whole[1:6, 1:4, 5:15], whole[1:6, 4, 1:7], whole[1:6, 4, 9:15]
    for part in (x, cos, sin):
        part.normal_(generator=generator)
    agrees({"x": x, "cos": cos, "sin": sin})
    across = torch.randn(10, 3, 5, device=triton_device).permute(2, 1, 0)
    agrees({"x": across, "cos": torch.randn(6, 5, device=triton_device).T, "sin": sin})


@pytest.mark.parametrize("shape", [(0, 3, 10, 6), (4, 0, 10, 6), (4, 3, 10, 0)], ids=str)
def test_nothing_to_turn(shape: tuple[int, int, int, int], triton_device: torch.device) -> None:
    own = inputs(shape, torch.float32, triton_device)
    found = results_and_gradients(rotary_triton, own)
    assert torch.equal(found["y0"], own["x"])
    assert all(torch.equal(found[k], torch.zeros_like(own[k])) for k in ("cos", "sin"))


def test_the_op_takes_it_by_name(triton_device: torch.device) -> None:
    own = inputs((5, 3, 10, 6), torch.float16, triton_device)
    y = rotary(**own, impl="triton")
    assert y.dtype == torch.float16
    assert torch.equal(y, rotary_triton(**own))


def test_heads_may_lie_far_apart(far_apart: Any, triton_device: torch.device) -> None:
    own = inputs((3, 4, 8, 6), torch.float32, triton_device)
    far = own | {"x": far_apart(own["x"])}
    wanted, found = (results_and_gradients(rotary_triton, tensors) for tensors in (own, far))
    for name, expected in wanted.items():
        assert torch.equal(found[name], expected), name
