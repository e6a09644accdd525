"""Definition of the gated delta rule, token by token."""

from __future__ import annotations

import torch

from librehps.kernels.arguments import compute_dtype
from librehps.typing import Float, Int, Tensor

__all__ = ["NORM_EPS", "gated_delta_rule_reference"]

# Added to the sum of squares of a query or key before the inverse square root.
NORM_EPS = 1e-6


def gated_delta_rule_reference(
    q: Float[Tensor, "T HK K"],
    k: Float[Tensor, "T HK K"],
    v: Float[Tensor, "T HV V"],
    g: Float[Tensor, "T HV"],
    beta: Float[Tensor, "T HV"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    initial_state: Float[Tensor, "N HV K V"] | None = None,
    normalize_qk: bool = True,
    A_log: Float[Tensor, " HV"] | None = None,
    dt_bias: Float[Tensor, " HV"] | None = None,
) -> tuple[Float[Tensor, "T HV V"], Float[Tensor, "N HV K V"]]:
    """Run the recurrence one token at a time; see `librehps.kernels.gated_delta_rule`."""
    dtype = compute_dtype(q, k, v, g, beta)
    if A_log is not None and dt_bias is not None:
        dtype = compute_dtype(q, k, v, g, beta, A_log, dt_bias)
        step = torch.log1p((g.to(dtype) + dt_bias.to(dtype)).exp())
        g = -A_log.to(dtype).exp() * step
        beta = 1.0 / (1.0 + (-beta.to(dtype)).exp())
    group = v.shape[1] // q.shape[1]
    # Value head j reads key head j // group.
    queries, keys = (x.to(dtype).repeat_interleave(group, dim=1) for x in (q, k))
    values, decay, rate = v.to(dtype), g.to(dtype).exp(), beta.to(dtype)
    if normalize_qk:
        queries, keys = (
            x * (x.square().sum(dim=-1, keepdim=True) + NORM_EPS).rsqrt() for x in (queries, keys)
        )
    queries = queries * q.shape[-1] ** -0.5
    bounds: list[int] = cu_seqlens.tolist()
    outputs: list[Tensor] = []
    states: list[Tensor] = []
    for index in range(len(bounds) - 1):
        if initial_state is None:
            state = values.new_zeros(v.shape[1], k.shape[-1], v.shape[-1])
        else:
            state = initial_state[index].to(dtype)
        for t in range(bounds[index], bounds[index + 1]):
            state = decay[t, :, None, None] * state
            update = rate[t, :, None] * (values[t] - _read(state, keys[t]))
            state = state + keys[t, :, :, None] * update[:, None, :]
            outputs.append(_read(state, queries[t]))
        states.append(state)
    return torch.stack(outputs).to(v.dtype), torch.stack(states)


def _read(state: Float[Tensor, "H K V"], at: Float[Tensor, "H K"]) -> Float[Tensor, "H V"]:
    # Autocast would narrow a product of matrices, wherever the definition is called.
    with torch.autocast(state.device.type, enabled=False):
        return torch.einsum("hkv,hk->hv", state, at)
