"""A second derivative is an error, and never a number that leaves something out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from librehps.kernels.add_rms_norm import add_rms_norm
from librehps.kernels.add_rms_norm.reference import add_rms_norm_reference
from librehps.kernels.causal_conv1d import causal_conv1d
from librehps.kernels.causal_conv1d.reference import causal_conv1d_reference
from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.gated_delta_rule import gated_delta_rule
from librehps.kernels.gated_delta_rule.reference import gated_delta_rule_reference
from librehps.kernels.gated_rms_norm import gated_rms_norm
from librehps.kernels.gated_rms_norm.reference import gated_rms_norm_reference
from librehps.kernels.rms_norm import rms_norm
from librehps.kernels.rms_norm.reference import rms_norm_reference
from librehps.kernels.rotary import rotary
from librehps.kernels.rotary.reference import rotary_reference
from librehps.kernels.selective_scan import selective_scan
from librehps.kernels.selective_scan.reference import selective_scan_reference
from librehps.kernels.swiglu import swiglu
from librehps.kernels.swiglu.reference import swiglu_reference

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


# An op, its definition, and what it is given.
DEFINED: dict[str, tuple[Callable[..., Any], Callable[..., Any], dict[str, Tensor]]] = {
    "rms_norm": (
        partial(rms_norm, eps=1e-6),
        partial(rms_norm_reference, eps=1e-6),
        {"x": of(3, 8), "weight": of(8)},
    ),
    "add_rms_norm": (
        partial(add_rms_norm, eps=1e-6),
        partial(add_rms_norm_reference, eps=1e-6),
        {"x": of(3, 8), "residual": of(3, 8) + 1, "weight": of(8)},
    ),
    "gated_rms_norm": (
        partial(gated_rms_norm, eps=1e-6),
        partial(gated_rms_norm_reference, eps=1e-6),
        {"x": of(3, 8), "gate": of(3, 8), "weight": of(8)},
    ),
    "swiglu": (swiglu, swiglu_reference, {"gate": of(3, 8), "up": of(3, 8)}),
    "causal_conv1d": (
        partial(causal_conv1d, cu_seqlens=BOUNDS, activation="silu"),
        partial(causal_conv1d_reference, cu_seqlens=BOUNDS, activation="silu"),
        {"x": of(3, 8), "weight": of(8, 4), "bias": of(8), "initial_state": of(1, 8, 3)},
    ),
    "gated_delta_rule": (
        partial(gated_delta_rule, cu_seqlens=BOUNDS),
        partial(gated_delta_rule_reference, cu_seqlens=BOUNDS),
        {
            **{"q": of(3, 1, 8), "k": of(3, 1, 8) ** 2, "v": of(3, 1, 8)},
            **{"g": of(3, 1), "beta": of(3, 1), "A_log": of(1), "dt_bias": of(1)},
            "initial_state": of(1, 1, 8, 8),
        },
    ),
    "selective_scan": (
        partial(selective_scan, cu_seqlens=BOUNDS, dt_softplus=True),
        partial(selective_scan_reference, cu_seqlens=BOUNDS, dt_softplus=True),
        {
            **{"x": of(3, 1, 8), "dt": of(3, 1), "A": -of(1), "B": of(3, 1, 8), "C": of(3, 1, 8)},
            **{"D": of(1), "z": of(3, 1, 8), "dt_bias": of(1)},
            "initial_state": of(1, 1, 8, 8),
        },
    ),
    "rotary": (rotary, rotary_reference, {"x": of(3, 1, 8), "cos": of(3, 8), "sin": of(3, 8)}),
}


@pytest.mark.parametrize("impl", ["torch", "triton"])
@pytest.mark.parametrize("name", list(DEFINED))
def test_what_is_asked_of_one_argument_alone_is_refused_or_right(
    name: str, impl: str, triton_device: torch.device
) -> None:
    op, definition, given = DEFINED[name]

    def slopes(function: Callable[..., Any], dtype: torch.dtype) -> tuple[Tensor, list[Tensor]]:
        leaves = {
            key: tensor.to(triton_device, dtype, copy=True).requires_grad_()
            for key, tensor in given.items()
        }
        made = function(**leaves)
        outputs = [y.sum() for y in (made if isinstance(made, tuple) else (made,))]
        first = torch.autograd.grad(outputs, [*leaves.values()], create_graph=True)
        # Besides, each argument is there by itself: its derivative is some number in any case.
        terms = [*(slope for slope in first if slope.requires_grad), *leaves.values()]
        return torch.stack([x.square().sum() for x in terms]).sum(), [*leaves.values()]

    found, leaves = slopes(partial(op, impl=impl), torch.float32)
    wanted, exact = slopes(definition, torch.float64)
    for own, other in zip(leaves, exact, strict=True):
        (expected,) = torch.autograd.grad(wanted, other, retain_graph=True)
        try:
            (actual,) = torch.autograd.grad(found, own, retain_graph=True)
        except RuntimeError as error:
            if "once_differentiable" not in str(error):
                raise
        else:
            torch.testing.assert_close(actual.double(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("impl", ["torch", "triton"])
def test_a_checkpoint_gives_its_tensors_once(impl: str, triton_device: torch.device) -> None:
    x, weight = (of(*shape).to(triton_device).requires_grad_() for shape in ((3, 8), (8,)))

    def norm(x: Tensor) -> Tensor:
        return rms_norm(x, weight, eps=1e-6, impl=impl)

    kept = checkpoint(norm, x, use_reentrant=False)
    (slope,) = torch.autograd.grad(kept.sum(), x, create_graph=True)
    (plain,) = torch.autograd.grad(norm(x).sum(), x)
    assert torch.equal(slope.detach(), plain)


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
