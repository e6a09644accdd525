"""Tests of the triton convolution against its definition in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from librehps.kernels.causal_conv1d import causal_conv1d, triton_causal_conv1d
from librehps.kernels.causal_conv1d.reference import causal_conv1d_reference
from librehps.kernels.causal_conv1d.triton_causal_conv1d import causal_conv1d_triton
from librehps.testing.agreement import disagreement, results_and_gradients
from librehps.testing.tolerances import TOLERANCES

LENGTHS = (1, 2, 3, 20)


def inputs(
    *,
    lengths: tuple[int, ...] = LENGTHS,
    channels: int = 5,
    taps: int = 4,
    dtype: torch.dtype = torch.float32,
    device: torch.device,
) -> tuple[dict[str, Tensor], Tensor]:
    """Return the tensors of a call, and the boundaries."""
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "x": (sum(lengths), channels),
        "weight": (channels, taps),
        "bias": (channels,),
        "initial_state": (len(lengths), channels, taps - 1),
    }
    made = {
        name: torch.randn(shape, generator=generator).to(device, dtype)
        for name, shape in shapes.items()
    }
    return made, torch.tensor([0, *lengths], device=device).cumsum(0).to(torch.int32)


def agrees(tensors: dict[str, Tensor], bounds: Tensor, **options: Any) -> None:
    options = {"activation": "silu", "cu_seqlens": bounds} | options
    errors = disagreement(causal_conv1d_triton, causal_conv1d_reference, tensors, **options)
    assert set(errors) == {"y0", "y1", *tensors}
    # The sums are those of the norms, and so is the rounding of the result.
    dtype = str(tensors["x"].dtype).removeprefix("torch.")
    assert max(errors.values()) <= TOLERANCES[f"norms_{dtype}"].limit, errors


def test_forward_and_gradients_equal_the_definition(
    kernel_dtype: torch.dtype, triton_device: torch.device
) -> None:
    agrees(*inputs(dtype=kernel_dtype, device=triton_device))


@pytest.mark.parametrize("activation", ["silu", None])
@pytest.mark.parametrize("taps", [2, 3, 7])
def test_other_taps(taps: int, activation: str | None, triton_device: torch.device) -> None:
    agrees(*inputs(taps=taps, device=triton_device), activation=activation)


def test_long_and_short_sequences_in_one_pack(triton_device: torch.device) -> None:
    agrees(*inputs(lengths=(1, 2, 63, 64, 65, 127, 500, 1337), device=triton_device))


def test_more_channels_than_a_program_has(triton_device: torch.device) -> None:
    agrees(*inputs(lengths=(1, 7), channels=131, device=triton_device))


@pytest.mark.parametrize("without", [("bias",), ("initial_state",), ("bias", "initial_state")])
def test_what_may_be_left_out(without: tuple[str, ...], triton_device: torch.device) -> None:
    tensors, bounds = inputs(device=triton_device)
    agrees({name: own for name, own in tensors.items() if name not in without}, bounds)


@pytest.mark.parametrize("only", [0, 1], ids=["y", "final_state"])
def test_gradients_of_one_result_alone(only: int, triton_device: torch.device) -> None:
    tensors, bounds = inputs(device=triton_device)

    def chosen(rule: Any) -> Any:
        return lambda **own: rule(**own, cu_seqlens=bounds, activation="silu")[only]

    errors = disagreement(chosen(causal_conv1d_triton), chosen(causal_conv1d_reference), tensors)
    assert max(errors.values()) <= TOLERANCES["norms_float32"].limit, errors


def test_weights_may_be_wider_than_the_rest(triton_device: torch.device) -> None:
    tensors, bounds = inputs(dtype=torch.float16, device=triton_device)
    agrees(tensors | {name: tensors[name].float() for name in ("weight", "bias")}, bounds)


@pytest.mark.parametrize("scale", [1e-30, 1e4, 1e30])
def test_huge_and_tiny_values(scale: float, triton_device: torch.device) -> None:
    tensors, bounds = inputs(device=triton_device)
    agrees(tensors | {"x": tensors["x"] * scale}, bounds)


def test_strides_are_kept_and_nothing_outside_is_read(triton_device: torch.device) -> None:
    tensors, bounds = inputs(device=triton_device)
    whole = torch.full((28, 12), float("nan"), device=triton_device)
    part = whole[1:27, 3:8].copy_(tensors["x"])
    state = tensors["initial_state"].transpose(1, 2).contiguous().transpose(1, 2)
    agrees(tensors | {"x": part, "initial_state": state}, bounds)
    agrees(tensors | {"x": tensors["x"].T.contiguous().T}, bounds.long())


def test_a_sequence_that_is_not_a_number_spoils_no_other(triton_device: torch.device) -> None:
    tensors, bounds = inputs(lengths=(3, 4, 20), device=triton_device)
    options: dict[str, Any] = {"cu_seqlens": bounds, "activation": "silu"}
    clean = results_and_gradients(causal_conv1d_triton, tensors, **options)
    spoiled = {name: tensor.clone() for name, tensor in tensors.items()}
    spoiled["x"][3:7] = spoiled["initial_state"][1] = float("nan")
    dirty = results_and_gradients(causal_conv1d_triton, spoiled, **options)
    for name in ("y0", "x"):
        assert torch.equal(dirty[name][:3], clean[name][:3])
        assert torch.equal(dirty[name][7:], clean[name][7:])
        assert dirty[name][3:7].isnan().all()
    for name in ("y1", "initial_state"):
        assert torch.equal(dirty[name][[0, 2]], clean[name][[0, 2]])


def test_a_sequence_does_not_depend_on_its_neighbours(triton_device: torch.device) -> None:
    tensors, bounds = inputs(device=triton_device)
    y, final = causal_conv1d_triton(**tensors, cu_seqlens=bounds)
    for index, (start, end) in enumerate(
        zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ):
        own = tensors | {
            "x": tensors["x"][start:end],
            "initial_state": tensors["initial_state"][index : index + 1],
        }
        alone = causal_conv1d_triton(
            **own, cu_seqlens=torch.tensor([0, end - start], device=triton_device)
        )
        assert torch.equal(alone[0], y[start:end])
        assert torch.equal(alone[1][0], final[index])


def test_two_runs_are_equal_to_the_last_bit_and_sums_have_several_parts(
    triton_device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_causal_conv1d, "_PARTIALS", 3)
    tensors, bounds = inputs(lengths=(30, 90), channels=3, device=triton_device)
    options: dict[str, Any] = {"cu_seqlens": bounds, "activation": "silu"}
    first, second = (
        results_and_gradients(causal_conv1d_triton, tensors, **options) for _ in range(2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    agrees(tensors, bounds)


def test_a_second_derivative_is_refused(triton_device: torch.device) -> None:
    tensors, bounds = inputs(device=triton_device)
    x = tensors.pop("x").requires_grad_()
    y = causal_conv1d_triton(x, **tensors, cu_seqlens=bounds)[0]
    (grad,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_the_op_takes_it_by_name(triton_device: torch.device) -> None:
    tensors, bounds = inputs(dtype=torch.float16, device=triton_device)
    found = causal_conv1d(**tensors, cu_seqlens=bounds, activation="silu", impl="triton")
    wanted = causal_conv1d_triton(**tensors, cu_seqlens=bounds, activation="silu")
    assert found[0].dtype == found[1].dtype == torch.float16
    assert all(torch.equal(*pair) for pair in zip(found, wanted, strict=True))
