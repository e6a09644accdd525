"""A second derivative is an error, and never a number that leaves something out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from librehps.kernels.add_rms_norm import add_rms_norm
from librehps.kernels.causal_conv1d import causal_conv1d
from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.gated_delta_rule import gated_delta_rule
from librehps.kernels.gated_rms_norm import gated_rms_norm
from librehps.kernels.rms_norm import rms_norm
from librehps.kernels.rotary import rotary
from librehps.kernels.selective_scan import selective_scan
from librehps.kernels.swiglu import swiglu

BOUNDS = torch.tensor([0, 3])


def of(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 0.1


def rule(x: Tensor, impl: str) -> Tensor:
    heads, gates = x.unflatten(1, (1, 8)), of(3, 1)
    return gated_delta_rule(heads, heads, heads, -gates, gates, cu_seqlens=BOUNDS, impl=impl)[0]


def scan(x: Tensor, impl: str) -> Tensor:
    # Only what is written by hand is asked for: the gradient of the steps.
    rows = of(3, 1, 8)
    steps = x[:, :1]
    return selective_scan(rows, steps, -of(1), rows, rows, cu_seqlens=BOUNDS, impl=impl)[0]


OPS: dict[str, Callable[[Tensor, str], Tensor]] = {
    "rms_norm": lambda x, impl: rms_norm(x, of(8), eps=1e-6, impl=impl),
    "add_rms_norm": lambda x, impl: add_rms_norm(x, of(3, 8), of(8), eps=1e-6, impl=impl)[0],
    "gated_rms_norm": lambda x, impl: gated_rms_norm(x, of(3, 8), of(8), eps=1e-6, impl=impl),
    "swiglu": lambda x, impl: swiglu(x, of(3, 8), impl=impl),
    "causal_conv1d": lambda x, impl: causal_conv1d(x, of(8, 4), cu_seqlens=BOUNDS, impl=impl)[0],
    "gated_delta_rule": rule,
    "selective_scan": scan,
    "rotary": lambda x, impl: rotary(x[:, None], of(3, 8), of(3, 8), impl=impl),
}


@pytest.mark.parametrize("impl", ["torch", "triton"])
@pytest.mark.parametrize("name", list(OPS))
def test_a_penalty_on_a_gradient_is_refused_or_right(
    name: str, impl: str, triton_device: torch.device
) -> None:
    x = of(3, 8).to(triton_device).requires_grad_()

    def slope() -> Tensor:
        # Linear in what the op gives: no incoming gradient says that more is asked for.
        y = OPS[name](x, impl).sum()
        return torch.autograd.grad(y + x.square().sum(), x, create_graph=True)[0]

    first = slope()
    (plain,) = torch.autograd.grad(OPS[name](x, impl).sum() + x.square().sum(), x)
    assert torch.equal(first.detach(), plain)
    if name == "rotary" and impl == "torch":
        # Made of operators of torch, which know their second derivative.
        assert torch.autograd.grad(first.square().sum(), x)[0].isfinite().all()
        return
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.square().sum().backward()


def test_what_has_no_gradient_stays_without() -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
            return x * factor

        @staticmethod
        def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
            return gradients(ctx, *grad_outputs)

    @first_derivative_only
    def gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return 2.0 * grad, None

    x = torch.ones(2, requires_grad=True)
    (grad,) = torch.autograd.grad(Twice.apply(x, 2.0).sum(), x)
    assert grad.tolist() == [2.0, 2.0]
    assert not grad.requires_grad
