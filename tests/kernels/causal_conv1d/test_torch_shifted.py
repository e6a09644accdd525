"""Tests of the shifted convolution against the definition."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from librehps.kernels.causal_conv1d.reference import causal_conv1d_reference
from librehps.kernels.causal_conv1d.torch_shifted import causal_conv1d_torch
from librehps.testing.tolerances import TOLERANCES, relative_rms

LENGTHS = (1, 2, 7, 30)
CU_SEQLENS = torch.tensor([0, *LENGTHS]).cumsum(0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("with_state", [True, False], ids=["state", "no_state"])
@pytest.mark.parametrize("activation", ["silu", None])
@pytest.mark.parametrize("taps", [2, 3, 4, 7])
def test_forward_and_gradients_equal_the_definition(
    taps: int, activation: str | None, with_state: bool, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(sum(LENGTHS), 6), (6, taps)]
    shapes += [(len(LENGTHS), 6, taps - 1)] * with_state
    inputs = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    results: list[tuple[Tensor, ...]] = []
    for function in (causal_conv1d_reference, causal_conv1d_torch):
        own = [tensor.clone().requires_grad_() for tensor in inputs]
        y, state = function(
            own[0],
            own[1],
            cu_seqlens=CU_SEQLENS,
            initial_state=own[2] if with_state else None,
            activation=activation,
        )
        total = y.double().sin().sum() + state.double().square().sum()
        results.append((y, state, *torch.autograd.grad(total, own)))
    limit = TOLERANCES["causal_conv1d"].limit
    for expected, actual in zip(*results, strict=True):
        assert actual.dtype == expected.dtype == dtype
        assert relative_rms(actual, expected) <= limit


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
