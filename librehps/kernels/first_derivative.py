"""Backward passes by hand, of which there is no second derivative."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

__all__ = ["first_derivative_only"]

Gradients = TypeVar("Gradients", bound=Tensor | tuple[Tensor | None, ...] | None)


def first_derivative_only(backward: Callable[..., Gradients]) -> Callable[..., Gradients]:
    """Let a second derivative through this backward pass be an error, whatever it would come from.

    torch's own ``once_differentiable`` looks at the gradients that come in. Where those are
    constant, as under a sum, it lets a penalty on the gradient pass, and what the op itself would
    add to its derivative is missing without a word. So it is where ``torch.autograd.grad`` asks for
    some tensors only, since no path leads to them: here one leads to each that was saved.

    Args:
        backward: Takes the context of an ``autograd.Function`` and its gradients. Every tensor that
            the gradients depend on is among those that the forward pass has saved.
    """

    @wraps(backward)
    def once(ctx: Any, *grad_outputs: Tensor | None) -> Gradients:
        # Without create_graph there will be no second derivative.
        if not torch.is_grad_enabled():
            return backward(ctx, *grad_outputs)
        unpacked = _Unpacked(ctx)
        with torch.no_grad():
            gradients = backward(unpacked, *grad_outputs)
        known = [each for each in (*unpacked.saved_tensors, *grad_outputs) if each is not None]
        sources = [tensor for tensor in known if tensor.requires_grad]
        if isinstance(gradients, tuple):
            return cast("Gradients", tuple(_ended(gradient, sources) for gradient in gradients))
        return cast("Gradients", _ended(gradients, sources))

    return once


class _Unpacked:
    """A context whose saved tensors are asked for once: a checkpoint gives them no second time."""

    def __init__(self, ctx: Any) -> None:
        self.saved_tensors: tuple[Tensor | None, ...] = ctx.saved_tensors
        self._ctx = ctx

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)


def _ended(gradient: Tensor | None, sources: list[Tensor]) -> Tensor | None:
    if gradient is None:
        return None
    return _End.apply(gradient.detach().requires_grad_(), *sources)


class _End(torch.autograd.Function):
    """A tensor that cannot be differentiated further, by itself or by what it was made from."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *sources: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        raise RuntimeError(
            "this op is once_differentiable: it has a gradient and no second derivative, which a "
            "penalty on its gradient would need; kernels' reference.py has both"
        )
