"""Tests of the triton gated RMS norm against its definition in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from librehps.kernels import triton_rows
from librehps.kernels.gated_rms_norm import gated_rms_norm
from librehps.kernels.gated_rms_norm.reference import gated_rms_norm_reference
from librehps.kernels.gated_rms_norm.torch_gated_rms_norm import gated_rms_norm_torch
from librehps.kernels.gated_rms_norm.triton_gated_rms_norm import gated_rms_norm_triton
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
    x, gate = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    weight = torch.randn(shape[-1], generator=generator)
    made = {"x": x * scale, "gate": gate, "weight": weight}
    return {name: tensor.to(device, dtype) for name, tensor in made.items()}


def agrees(tensors: dict[str, Tensor], *, eps: float = 1e-6) -> None:
    errors = disagreement(gated_rms_norm_triton, gated_rms_norm_reference, tensors, eps=eps)
    dtype = str(tensors["x"].dtype).removeprefix("torch.")
    assert set(errors) == {"y0", "x", "gate", "weight"}
    assert max(errors.values()) <= TOLERANCES[f"norms_{dtype}"].limit, errors


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward_and_gradients_equal_the_definition(
    shape: tuple[int, ...], dtype: torch.dtype, triton_device: torch.device
) -> None:
    agrees(inputs(shape, dtype, triton_device))


def test_the_weight_may_stay_wider_than_the_rest(triton_device: torch.device) -> None:
    own = inputs((37, 24), torch.float16, triton_device)
    agrees({**own, "weight": own["weight"].float()})


@pytest.mark.parametrize("weight_dtype", [torch.float16, torch.float32], ids=str)
def test_roundings_on_the_way_are_those_of_the_torch_kernel(
    weight_dtype: torch.dtype, triton_device: torch.device
) -> None:
    own = inputs((64, 128), torch.float16, triton_device)
    own["weight"] = own["weight"].to(weight_dtype)
    found = gated_rms_norm_triton(**own, eps=1e-6)
    # Without one of the roundings a third of the elements differ in the last bit.
    assert (found == gated_rms_norm_torch(**own, eps=1e-6)).double().mean() > 0.99


def test_rows_that_do_not_exist_add_nothing_without_eps(triton_device: torch.device) -> None:
    agrees(inputs((37, 24), torch.float32, triton_device), eps=0.0)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e17])
def test_huge_and_tiny_values(scale: float, triton_device: torch.device) -> None:
    agrees(inputs((37, 24), torch.float32, triton_device, scale=scale))


def test_a_gate_that_is_shut_or_wide_open(triton_device: torch.device) -> None:
    own = inputs((37, 24), torch.float32, triton_device)
    agrees({**own, "gate": own["gate"] * 1e4})


def test_each_program_takes_several_tiles(
    triton_device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_rows, "_PARTIALS", 3)
    agrees(inputs((333, 128), torch.float32, triton_device))


def test_strides_are_kept_and_nothing_outside_is_read(triton_device: torch.device) -> None:
    whole = torch.full((4, 9, 64), float("nan"), device=triton_device)
    generator = torch.Generator(triton_device).manual_seed(0)
    x, gate = whole[1:3, :, 5:29], whole[1:3, :, 31:55]
    for part in (x, gate):
        part.normal_(generator=generator)
    agrees({"x": x, "gate": gate, "weight": torch.randn(24, 3, device=triton_device)[:, 1]})
    x, gate = x.transpose(1, 2), torch.randn(2, 24, 9, device=triton_device)
    agrees({"x": x, "gate": gate, "weight": torch.randn(9, device=triton_device)})


def test_no_rows(triton_device: torch.device) -> None:
    own = inputs((0, 3, 8), torch.float32, triton_device)
    found = results_and_gradients(gated_rms_norm_triton, own, eps=1e-6)
    assert [tuple(found[name].shape) for name in ("y0", "x", "gate")] == [(0, 3, 8)] * 3
    assert torch.equal(found["weight"], torch.zeros(8, device=triton_device))


def test_a_row_does_not_depend_on_the_others(triton_device: torch.device) -> None:
    own = inputs((70, 128), torch.float32, triton_device)
    packed = gated_rms_norm_triton(**own, eps=1e-6)
    for row in (0, 7, 8, 69):
        one = {name: own[name][row : row + 1].clone() for name in ("x", "gate")}
        alone = gated_rms_norm_triton(**one, weight=own["weight"], eps=1e-6)
        assert torch.equal(alone[0], packed[row])


def test_two_runs_are_equal_to_the_last_bit(triton_device: torch.device) -> None:
    own = inputs((700, 128), torch.float32, triton_device)
    first, second = (results_and_gradients(gated_rms_norm_triton, own, eps=1e-6) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_op_takes_it_by_name(triton_device: torch.device) -> None:
    own = inputs((5, 24), torch.float16, triton_device)
    y = gated_rms_norm(**own, eps=1e-6, impl="triton")
    assert y.dtype == torch.float16
    assert torch.equal(y, gated_rms_norm_triton(**own, eps=1e-6))
