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
    add to its derivative is missing without a word.

    Args:
        backward: Takes the context of an ``autograd.Function`` and its gradients.
    """

    @wraps(backward)
    def once(ctx: Any, *grad_outputs: Tensor | None) -> Gradients:
        with torch.no_grad():
            gradients = backward(ctx, *grad_outputs)
        # Without create_graph there will be no second derivative.
        if not torch.is_grad_enabled():
            return gradients
        if isinstance(gradients, tuple):
            return cast("Gradients", tuple(_ended(gradient) for gradient in gradients))
        return cast("Gradients", _ended(gradients))

    return once


def _ended(gradient: Tensor | None) -> Tensor | None:
    if gradient is None:
        return None
    return _End.apply(gradient.detach().requires_grad_())


class _End(torch.autograd.Function):
    """A tensor that cannot be differentiated further."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        raise RuntimeError(
            "this op is once_differentiable: it has a gradient and no second derivative, which a "
            "penalty on its gradient would need; kernels' reference.py has both"
        )
