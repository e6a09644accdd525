"""Definition of the selective scan, token by token."""

from __future__ import annotations

from math import inf

import torch
import torch.nn.functional as F

from librehps.kernels.arguments import compute_dtype
from librehps.typing import Float, Int, Tensor

__all__ = ["selective_scan_reference"]


def selective_scan_reference(
    x: Float[Tensor, "T HV V"],
    dt: Float[Tensor, "T HV"],
    A: Float[Tensor, " HV"],
    B: Float[Tensor, "T G K"],
    C: Float[Tensor, "T G K"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    D: Float[Tensor, " HV"] | None = None,
    z: Float[Tensor, "T HV V"] | None = None,
    dt_bias: Float[Tensor, " HV"] | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = (0.0, inf),
    initial_state: Float[Tensor, "N HV K V"] | None = None,
) -> tuple[Float[Tensor, "T HV V"], Float[Tensor, "N HV K V"]]:
    """Run the recurrence one token at a time; see `librehps.kernels.selective_scan`."""
    dtype = compute_dtype(x, dt, A, B, C)
    values, step = x.to(dtype), dt.to(dtype)
    if dt_bias is not None:
        step = step + dt_bias.to(dtype)
    if dt_softplus:
        step = F.softplus(step)
    step = step.clamp(*dt_limit)
    decay = (step * A.to(dtype)).exp()
    # Head j reads group j // (HV / G).
    keys, queries = (
        rows.to(dtype).repeat_interleave(x.shape[1] // B.shape[1], dim=1) for rows in (B, C)
    )
    # Taken apart once: the gradient of an index into the whole is as long as the whole.
    written = (step[:, :, None] * values).unbind()
    tokens = list(zip(decay.unbind(), keys.unbind(), queries.unbind(), written, strict=True))
    bounds: list[int] = cu_seqlens.tolist()
    outputs: list[Tensor] = []
    states: list[Tensor] = []
    for index in range(len(bounds) - 1):
        if initial_state is None:
            state = values.new_zeros(x.shape[1], B.shape[2], x.shape[2])
        else:
            state = initial_state[index].to(dtype)
        for keep, key, query, value in tokens[bounds[index] : bounds[index + 1]]:
            state = keep[:, None, None] * state + key[:, :, None] * value[:, None, :]
            outputs.append((state * query[:, :, None]).sum(dim=1))
        states.append(state)
    y = torch.stack(outputs)
    if D is not None:
        y = y + D.to(dtype)[:, None] * values
    if z is not None:
        gate = z.to(dtype)
        y = y * gate * torch.sigmoid(gate)
    return y.to(x.dtype), torch.stack(states)
