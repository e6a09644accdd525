"""Definition of packed attention; also the ``eager`` implementation."""

from __future__ import annotations

import torch

from librehps.kernels.arguments import compute_dtype
from librehps.kernels.attention.prefixes import check_prefixes
from librehps.typing import Float, Int, Tensor

__all__ = ["attention_reference"]


def attention_reference(
    q: Float[Tensor, "T H K"],
    k: Float[Tensor, "S G K"],
    v: Float[Tensor, "S G V"],
    *,
    cu_seqlens_q: Int[Tensor, " N_plus_1"],
    cu_seqlens_k: Int[Tensor, " N_plus_1"],
    causal: bool,
    scale: float,
) -> Float[Tensor, "T H V"]:
    """Attend head by head within each sequence; see `librehps.kernels.attention`."""
    dtype = compute_dtype(q, k, v)
    group = q.shape[1] // k.shape[1]
    if causal:
        # On a device nobody has looked yet; the mean of no value is no number.
        check_prefixes(cu_seqlens_q.diff().tolist(), cu_seqlens_k.diff().tolist())
    q_bounds: list[int] = cu_seqlens_q.tolist()
    k_bounds: list[int] = cu_seqlens_k.tolist()
    outputs: list[Tensor] = []
    for index in range(len(q_bounds) - 1):
        queries = q[q_bounds[index] : q_bounds[index + 1]].to(dtype)
        keys = k[k_bounds[index] : k_bounds[index + 1]].to(dtype)
        values = v[k_bounds[index] : k_bounds[index + 1]].to(dtype)
        tokens, seen = queries.shape[0], keys.shape[0]
        hidden = torch.ones(tokens, seen, dtype=torch.bool, device=q.device).triu(1 + seen - tokens)
        heads: list[Tensor] = []
        # Autocast would narrow what was just widened.
        with torch.autocast(q.device.type, enabled=False):
            for head in range(q.shape[1]):
                logits = queries[:, head] @ keys[:, head // group].T * scale
                if causal:
                    logits = logits.masked_fill(hidden, float("-inf"))
                heads.append(logits.softmax(dim=-1) @ values[:, head // group])
        outputs.append(torch.stack(heads, dim=1))
    return torch.cat(outputs).to(q.dtype)
