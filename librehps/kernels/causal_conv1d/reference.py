"""Definition of the causal depthwise convolution."""

from __future__ import annotations

import torch

from librehps.kernels.arguments import compute_dtype
from librehps.typing import Float, Int, Tensor

__all__ = ["causal_conv1d_reference"]


def causal_conv1d_reference(
    x: Float[Tensor, "T C"],
    weight: Float[Tensor, "C W"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    bias: Float[Tensor, " C"] | None = None,
    initial_state: Float[Tensor, "N C W_minus_1"] | None = None,
    activation: str | None = None,
) -> tuple[Float[Tensor, "T C"], Float[Tensor, "N C W_minus_1"]]:
    """Slide the taps over one sequence after the other; see `librehps.kernels.causal_conv1d`."""
    dtype = compute_dtype(x, weight, *(() if bias is None else (bias,)))
    taps, wide = weight.shape[1], weight.to(dtype).T
    offset = None if bias is None else bias.to(dtype)
    bounds: list[int] = cu_seqlens.tolist()
    outputs: list[Tensor] = []
    states: list[Tensor] = []
    for index in range(len(bounds) - 1):
        own = x[bounds[index] : bounds[index + 1]].to(dtype)
        if initial_state is None:
            before = own.new_zeros(taps - 1, own.shape[1])
        else:
            before = initial_state[index].to(dtype).T
        line = torch.cat([before, own])
        rows = [(line[token : token + taps] * wide).sum(dim=0) for token in range(own.shape[0])]
        y = torch.stack(rows)
        if offset is not None:
            y = y + offset
        outputs.append(y * torch.sigmoid(y) if activation == "silu" else y)
        states.append(line[own.shape[0] :].T)
    return torch.cat(outputs).to(x.dtype), torch.stack(states).to(x.dtype)
