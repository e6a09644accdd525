"""The gate: an implementation that is wrong is not timed.

Each is compared with the definition in float64 on short sequences of odd lengths at the widths that
are then timed, results and gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from librehps.bench.cases import Case, Op, Shape
from librehps.typing import Tensor

__all__ = ["GATE_LENGTHS", "LIMITS", "gate_error", "leaves_of"]

GATE_LENGTHS = (1, 37, 64, 70)
LIMITS = {torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 3e-2}
"""Relative root mean squares that pass, for any op: the widest that the tests allow a kernel."""


def gate_error(
    op: Op, run: Callable[..., Any], shape: Shape, device: torch.device, *, backward: bool
) -> float:
    """Return the largest relative error of an implementation: results, and gradients of all inputs.

    Args:
        op: What it implements.
        run: The implementation; may return fewer results than the definition, from the front.
        shape: Widths and dtype; its lengths are not used.
        device: Where it runs; the definition runs there too.
        backward: Whether gradients are compared.

    Returns:
        A relative root mean square; infinity where something is not finite.
    """
    case = op.make(replace(shape, lengths=GATE_LENGTHS))
    found = _results(run, case.tensors, case, device, backward=backward, count=None)
    wide = {name: tensor.double() for name, tensor in case.tensors.items()}
    count = len(found) - (len(_leaf_names(case)) if backward else 0)
    wanted = _results(op.reference, wide, case, device, backward=backward, count=count)
    return max(_difference(a, b) for a, b in zip(found, wanted, strict=True))


def leaves_of(case: Case, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors, those that have a gradient as leaves that record one."""
    names = _leaf_names(case)
    return {
        name: tensor.detach().requires_grad_() if name in names else tensor
        for name, tensor in tensors.items()
    }


def _moved(tensors: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def _leaf_names(case: Case) -> list[str]:
    return [name for name in case.tensors if name not in case.fixed]


def _results(
    run: Callable[..., Any],
    tensors: dict[str, Tensor],
    case: Case,
    device: torch.device,
    *,
    backward: bool,
    count: int | None,
) -> list[Tensor]:
    given = _moved(tensors, device)
    if backward:
        given = leaves_of(case, given)
    with torch.set_grad_enabled(backward):
        made = run(**given, **_moved(case.bounds, device), **case.options)
    outputs = list(made) if isinstance(made, tuple) else [made]
    outputs = outputs[:count]
    if not backward:
        return outputs
    generator = torch.Generator().manual_seed(20)
    # In steps that bfloat16 holds exactly.
    upstream = [
        torch.randn(y.shape, generator=generator).mul(32).round().div(32).to(y) for y in outputs
    ]
    leaves = [given[name] for name in _leaf_names(case)]
    gradients = torch.autograd.grad(outputs, leaves, upstream, materialize_grads=True)
    return [*(y.detach() for y in outputs), *gradients]


def _difference(found: Tensor, wanted: Tensor) -> float:
    expected = wanted.double().cpu()
    error = (found.double().cpu() - expected).square().mean().sqrt()
    ratio = (error / expected.square().mean().sqrt().clamp_min(1e-30)).item()
    return ratio if ratio < float("inf") else float("inf")
