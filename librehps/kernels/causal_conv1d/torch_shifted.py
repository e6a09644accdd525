"""Causal depthwise convolution as shifted multiply-adds."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from librehps.kernels.arguments import compute_dtype
from librehps.typing import Float, Int, Tensor

__all__ = ["causal_conv1d_torch"]


def causal_conv1d_torch(
    x: Float[Tensor, "T C"],
    weight: Float[Tensor, "C W"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    initial_state: Float[Tensor, "N C W_minus_1"] | None = None,
    activation: str | None = None,
) -> tuple[Float[Tensor, "T C"], Float[Tensor, "N C W_minus_1"]]:
    """Compute `librehps.kernels.causal_conv1d`: as many multiply-adds as there are taps."""
    dtype = compute_dtype(x, weight)
    taps = weight.to(dtype).unbind(1)
    lengths: list[int] = cu_seqlens.diff().tolist()
    outputs: list[Tensor] = []
    states: list[Tensor] = []
    for index, own in enumerate(x.split(lengths)):
        if initial_state is None:
            before = own.new_zeros(len(taps) - 1, own.shape[1], dtype=dtype)
        else:
            before = initial_state[index].to(dtype).T
        line = torch.cat([before, own.to(dtype)])
        y = line[: lengths[index]] * taps[0]
        for shift, tap in enumerate(taps[1:], 1):
            y = torch.addcmul(y, line[shift : shift + lengths[index]], tap)
        outputs.append((F.silu(y) if activation == "silu" else y).to(x.dtype))
        states.append(line[lengths[index] :].T.to(x.dtype))
    return torch.cat(outputs), torch.stack(states)
