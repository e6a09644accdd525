"""An implementation of an op against the definition of the op."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from librehps.testing.poison import poisoned_memory
from librehps.testing.tolerances import relative_rms

__all__ = ["disagreement", "results_and_gradients"]


def results_and_gradients(
    function: Callable[..., Any], tensors: Mapping[str, Tensor], **options: Any
) -> dict[str, Tensor]:
    """Run a function forward and backward.

    The gradient that comes in is random, the same for the same shapes whatever the dtype. It lies
    in wider memory that is NaN around it, as the gradient of a part of a wider tensor does.

    Args:
        function: Takes ``tensors`` and ``options`` by name; returns a tensor or several.
        tensors: What to differentiate by; strides are kept, values are not changed.
        options: Everything else.

    Returns:
        ``y0, y1, ...`` for the results, and each name of ``tensors`` for its gradient, zeros where
        nothing depends on it.
    """
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}
    made = function(**leaves, **options)
    results: tuple[Tensor, ...] = made if isinstance(made, tuple) else (made,)
    generator = torch.Generator().manual_seed(20)
    upstream = [_upstream(y, generator) for y in results]
    gradients = torch.autograd.grad(
        results, list(leaves.values()), upstream, materialize_grads=True
    )
    return {f"y{index}": y.detach() for index, y in enumerate(results)} | dict(
        zip(leaves, gradients, strict=True)
    )


def disagreement(
    function: Callable[..., Any],
    definition: Callable[..., Any],
    tensors: Mapping[str, Tensor],
    **options: Any,
) -> dict[str, float]:
    """Return how far a function is from its definition in float64, results and gradients.

    The function runs in memory that is NaN until it is written; a NaN that is left is an infinite
    error. The dtypes of gradients need no check: autograd refuses a wrong one, or casts it.

    Args:
        function: The implementation.
        definition: The same with plain operators; it gets the same values, in float64.
        tensors: See `results_and_gradients`.
        options: See `results_and_gradients`.

    Returns:
        Relative root mean squares by the names of `results_and_gradients`.
    """
    with poisoned_memory():
        found = results_and_gradients(function, tensors, **options)
    wide = {name: tensor.double() for name, tensor in tensors.items()}
    wanted = results_and_gradients(definition, wide, **options)
    return {name: relative_rms(found[name], wanted[name]) for name in wanted}


def _upstream(y: Tensor, generator: torch.Generator) -> Tensor:
    # In steps that bfloat16 and float16 hold exactly.
    values = torch.randn(y.shape, generator=generator).mul(32).round().div(32)
    wider = torch.full((*y.shape[:-1], y.shape[-1] + 3), float("nan"), dtype=y.dtype)
    wider[..., 1:-2] = values
    return wider.to(y.device)[..., 1:-2]
