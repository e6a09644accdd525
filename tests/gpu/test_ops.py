"""Every implementation of every op: against float64, in poisoned memory, and twice: `make gpu`.

Rehearsed on a CPU with small shapes, where triton interprets and bfloat16 is torch's alone.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from librehps.bench import gate
from librehps.bench.cases import OPS, Shape
from librehps.bench.gate import LIMITS, gate_error, leaves_of
from librehps.errors import BackendError
from librehps.kernels.backend import choose_attention, choose_kernels
from librehps.testing.poison import poisoned_memory

pytestmark = pytest.mark.gpu

# 56 sequences with 4 heads are more programs than a GPU has multiprocessors: some must wait.
MANY = tuple(1 + 37 * index % 131 for index in range(56))
CASES = [(name, label) for name in OPS for label in OPS[name].implementations if label != "eager"]


def demand(name: str, label: str, device: torch.device, dtype: torch.dtype) -> None:
    """Skip, with what is missing, an implementation that cannot run here."""
    try:
        if "sdpa" in OPS[name].implementations:
            choose_attention(label, device, dtype=dtype)
        else:
            choose_kernels(label, device, op=name)
    except BackendError as error:
        pytest.skip(str(error))
    if device.type == "cpu" and label == "triton" and dtype == torch.bfloat16:
        pytest.skip("triton's interpreter computes wrongly in bfloat16")


@pytest.fixture(autouse=True)
def exact_float32() -> None:
    """TF32 would hide real errors behind its own."""
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("preset", ["nano", "4b"])
@pytest.mark.parametrize(("name", "label"), CASES)
def test_results_and_gradients_in_poisoned_memory(
    name: str, label: str, preset: str, dtype: torch.dtype, lane_device: torch.device
) -> None:
    demand(name, label, lane_device, dtype)
    if lane_device.type == "cpu" and preset != "nano":
        pytest.skip("a rehearsal takes the small widths")
    run = partial(OPS[name].call, impl=label)
    with poisoned_memory():
        error = gate_error(OPS[name], run, Shape(preset, (8,), dtype), lane_device, backward=True)
    assert error <= LIMITS[dtype]


@pytest.mark.parametrize(("name", "label"), CASES)
def test_more_programs_than_run_at_once(
    name: str, label: str, lane_device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtype = torch.float32 if "sdpa" not in OPS[name].implementations else torch.float16
    demand(name, label, lane_device, dtype)
    monkeypatch.setattr(gate, "GATE_LENGTHS", MANY[: 4 if lane_device.type == "cpu" else None])
    run = partial(OPS[name].call, impl=label)
    with poisoned_memory():
        error = gate_error(OPS[name], run, Shape("nano", (8,), dtype), lane_device, backward=True)
    assert error <= LIMITS[dtype]


@pytest.mark.parametrize(("name", "label"), CASES)
def test_two_calls_are_equal_bit_for_bit(name: str, label: str, lane_device: torch.device) -> None:
    on_gpu = lane_device.type == "cuda"
    dtype = torch.bfloat16 if on_gpu else torch.float16
    demand(name, label, lane_device, dtype)
    shape = Shape("4b" if on_gpu else "nano", (300,) * 24 if on_gpu else (37, 5), dtype)
    case = OPS[name].make(shape)
    tensors = leaves_of(case, {key: x.to(lane_device) for key, x in case.tensors.items()})
    bounds = {key: x.to(lane_device) for key, x in case.bounds.items()}
    leaves = [tensor for tensor in tensors.values() if tensor.requires_grad]

    def results() -> list[Tensor]:
        made = OPS[name].call(**tensors, **bounds, **case.options, impl=label)
        outputs = list(made) if isinstance(made, tuple) else [made]
        if "sdpa" in OPS[name].implementations:
            # Their backward passes add in any order unless torch asks for better.
            return outputs
        upstream = [torch.ones_like(y) for y in outputs]
        return [*outputs, *torch.autograd.grad(outputs, leaves, upstream, materialize_grads=True)]

    first = results()
    for _ in range(2):
        assert all(torch.equal(a, b) for a, b in zip(results(), first, strict=True))
