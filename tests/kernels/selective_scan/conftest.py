"""Inputs of the triton selective scan, and its agreement with the definition in float64."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

import pytest
import torch
from torch import Tensor

from librehps.kernels.selective_scan.reference import selective_scan_reference
from librehps.testing.agreement import disagreement
from librehps.testing.tolerances import TOLERANCES


def scan_inputs(
    device: torch.device,
    *,
    lengths: tuple[int, ...] = (1, 2, 17),
    groups: int = 1,
    per_group: int = 2,
    width: int = 5,
    depth: int = 7,
    rate: float = 1.0,
    dtype: torch.dtype = torch.float32,
    without: tuple[str, ...] = (),
) -> tuple[dict[str, Tensor], Tensor]:
    """Return the tensors of a call, and the boundaries."""
    generator = torch.Generator().manual_seed(0)
    tokens, heads = sum(lengths), groups * per_group
    shapes = {
        "x": (tokens, heads, depth),
        "dt": (tokens, heads),
        "A": (heads,),
        "B": (tokens, groups, width),
        "C": (tokens, groups, width),
        "D": (heads,),
        "z": (tokens, heads, depth),
        "dt_bias": (heads,),
        "initial_state": (len(lengths), heads, width, depth),
    }
    made = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    made["A"] = -(0.1 + made["A"].abs()) * rate
    # States stay in float32 whatever the rest is.
    narrow = {name: tensor.to(dtype) for name, tensor in made.items() if name != "initial_state"}
    made |= narrow
    bounds = torch.tensor([0, *lengths], device=device).cumsum(0).to(torch.int32)
    return {name: made[name].to(device) for name in made if name not in without}, bounds


@pytest.fixture(name="scan_inputs")
def make_scan_inputs(
    triton_device: torch.device,
) -> Callable[..., tuple[dict[str, Tensor], Tensor]]:
    """Inputs on the device where triton kernels run."""
    return partial(scan_inputs, triton_device)


@pytest.fixture
def scan_agrees() -> Callable[..., None]:
    """Demand that results and every gradient are those of the definition in float64."""
    from librehps.kernels.selective_scan.triton_selective_scan import selective_scan_triton

    def demand(
        tensors: dict[str, Tensor],
        bounds: Tensor,
        *,
        chunk_size: int = 16,
        softplus: bool = True,
        limit: tuple[float, float] = (0.0, inf),
        only: int | None = None,
    ) -> None:
        def chosen(rule: Callable[..., Any]) -> Callable[..., Any]:
            return lambda **own: rule(**own) if only is None else (rule(**own)[only],)

        errors = disagreement(
            chosen(partial(selective_scan_triton, chunk_size=chunk_size)),
            chosen(selective_scan_reference),
            tensors,
            cu_seqlens=bounds,
            dt_softplus=softplus,
            dt_limit=limit,
        )
        # Half precision is compared at the same rounded inputs: what is left is its own rounding.
        name = {
            torch.float32: "selective_scan_triton_float32",
            torch.float16: "selective_scan_triton_float16",
            torch.bfloat16: "selective_scan_bfloat16",
        }[tensors["x"].dtype]
        assert max(errors.values()) <= TOLERANCES[name].limit, errors

    return demand
