"""Tests of the shifted convolution against the definition."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from librehps.kernels import rows
from librehps.kernels.causal_conv1d.reference import causal_conv1d_reference
from librehps.kernels.causal_conv1d.torch_shifted import causal_conv1d_torch
from librehps.testing.tolerances import TOLERANCES, relative_rms

LENGTHS = (1, 2, 7, 30)
CU_SEQLENS = torch.tensor([0, *LENGTHS]).cumsum(0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("without", [(), ("bias",), ("initial_state",), ("bias", "initial_state")])
@pytest.mark.parametrize("activation", ["silu", None])
@pytest.mark.parametrize("taps", [2, 3, 4, 7])
def test_forward_and_gradients_equal_the_definition(
    taps: int, activation: str | None, without: tuple[str, ...], dtype: torch.dtype
) -> None:
    names = ("x", "weight", "initial_state", "bias")
    inputs = dict(zip(names, given(dtype, taps), strict=True))
    results: list[tuple[Tensor, ...]] = []
    for function in (causal_conv1d_reference, causal_conv1d_torch):
        own = {name: inputs[name].clone().requires_grad_() for name in names if name not in without}
        y, state = function(**own, cu_seqlens=CU_SEQLENS, activation=activation)
        total = y.double().sin().sum() + state.double().square().sum()
        results.append((y, state, *torch.autograd.grad(total, [*own.values()])))
    limit = TOLERANCES["causal_conv1d"].limit
    for expected, actual in zip(*results, strict=True):
        assert actual.dtype == expected.dtype == dtype
        assert relative_rms(actual, expected) <= limit


def test_lengths_of_all_kinds_in_one_pack() -> None:
    lengths = (1, 2, 63, 64, 65, 127, 500, 1337)
    generator = torch.Generator().manual_seed(3)
    shapes = {"x": (sum(lengths), 5), "weight": (5, 4), "bias": (5,), "initial_state": (8, 5, 3)}
    inputs = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    results: list[tuple[Tensor, ...]] = []
    for function, dtype in (
        (causal_conv1d_reference, torch.float64),
        (causal_conv1d_torch, torch.float32),
    ):
        own = {
            name: tensor.to(dtype, copy=True).requires_grad_() for name, tensor in inputs.items()
        }
        bounds = torch.tensor([0, *lengths]).cumsum(0)
        y, state = function(**own, cu_seqlens=bounds, activation="silu")
        total = y.double().sin().sum() + state.double().square().sum()
        results.append((y, state, *torch.autograd.grad(total, [*own.values()])))
    for expected, actual in zip(*results, strict=True):
        assert relative_rms(actual, expected) <= TOLERANCES["causal_conv1d"].limit


class CountCalls(TorchDispatchMode):
    """Counts the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def test_a_long_sequence_takes_no_more_calls_than_a_short_one() -> None:
    calls: list[int] = []
    for length in (10, 500):
        with CountCalls() as counter:
            causal_conv1d_torch(
                torch.ones(length, 3), torch.ones(3, 4), cu_seqlens=torch.tensor([0, length])
            )
        calls.append(counter.calls)
    assert calls[0] == calls[1]


def given(dtype: torch.dtype, taps: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((sum(LENGTHS), 6), (6, taps), (len(LENGTHS), 6, taps - 1), (6,))
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


def run(
    function: Any, x: Tensor, weight: Tensor, state: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    return function(
        x, weight, cu_seqlens=CU_SEQLENS, bias=bias, initial_state=state, activation="silu"
    )


@pytest.mark.parametrize("rows_of_a_block", [1, 2, 3, 4, 5, 11])
def test_the_size_of_a_block_changes_nothing(
    rows_of_a_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_ELEMENTS", rows_of_a_block * 6)
    results: list[tuple[Tensor, ...]] = []
    for function in (causal_conv1d_reference, causal_conv1d_torch):
        own = [tensor.requires_grad_() for tensor in given(torch.float64)]
        y, state = run(function, *own)
        results.append((y, state, *torch.autograd.grad(y.sin().sum() + state.square().sum(), own)))
    for expected, actual in zip(*results, strict=True):
        assert relative_rms(actual, expected) <= TOLERANCES["kernel_definitions_float64"].limit


def test_gradients_are_those_of_finite_differences() -> None:
    inputs = [tensor.requires_grad_() for tensor in given(torch.float64, taps=3)]
    assert torch.autograd.gradcheck(lambda *own: run(causal_conv1d_torch, *own), inputs)


@pytest.mark.parametrize("cut", range(1, 10))
def test_a_sequence_cut_anywhere_continues_from_its_state(cut: int) -> None:
    x, weight, states, bias = given(torch.float32)
    x, state = x[:10], states[:1]
    whole, final = causal_conv1d_torch(
        x, weight, cu_seqlens=torch.tensor([0, 10]), bias=bias, initial_state=state
    )
    parts: list[Tensor] = []
    for part in (x[:cut], x[cut:]):
        y, state = causal_conv1d_torch(
            part,
            weight,
            cu_seqlens=torch.tensor([0, len(part)]),
            bias=bias,
            initial_state=state,
        )
        parts.append(y)
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(state, final)


def test_a_sequence_that_is_not_a_number_spoils_no_other() -> None:
    x, weight, state, bias = given(torch.float32)
    y, final = run(causal_conv1d_torch, x, weight, state, bias)
    spoiled = [x.clone(), weight, state.clone(), bias]
    spoiled[0][3:10] = spoiled[2][2] = float("nan")
    own = [tensor.requires_grad_() for tensor in spoiled]
    dirty, after = run(causal_conv1d_torch, *own)
    others = [0, 1, 3]
    for clean, found in ((y[:3], dirty[:3]), (y[10:], dirty[10:]), (final[others], after[others])):
        assert torch.equal(clean, found)
    grad_x, _, grad_state, _ = torch.autograd.grad(dirty.sum(), own)
    assert torch.cat([grad_x[:3], grad_x[10:]]).isfinite().all()
    assert grad_state[others].isfinite().all()
