"""Packed attention with torch's fused kernel, one call per sequence.

A call per sequence keeps the work at the sum of the squares of the lengths and makes each result
independent of its neighbours to the last bit. Key/value heads are shared inside the kernel: on a
CPU that is as fast as repeating them first (65 ms for 600 tokens of 16 / 4 heads of 256 on one
core, both ways) and takes no memory.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from librehps.typing import Float, Int, Tensor

__all__ = ["attention_sdpa"]


def attention_sdpa(
    q: Float[Tensor, "T H K"],
    k: Float[Tensor, "S G K"],
    v: Float[Tensor, "S G V"],
    *,
    cu_seqlens_q: Int[Tensor, " N_plus_1"],
    cu_seqlens_k: Int[Tensor, " N_plus_1"],
    causal: bool,
    scale: float,
) -> Float[Tensor, "T H V"]:
    """Compute `librehps.kernels.attention` with ``scaled_dot_product_attention``."""
    q_lengths: list[int] = cu_seqlens_q.diff().tolist()
    k_lengths: list[int] = cu_seqlens_k.diff().tolist()
    shared = q.shape[1] != k.shape[1]
    outputs: list[Tensor] = []
    # split, not slices: its gradient is one concatenation, not a full-size array per sequence.
    for queries, keys, values in zip(
        q.split(q_lengths), k.split(k_lengths), v.split(k_lengths), strict=True
    ):
        tokens, seen = queries.shape[0], keys.shape[0]
        mask = None
        if causal and 1 < tokens < seen:
            # torch aligns is_causal at the start; a cached prefix needs it aligned at the end.
            mask = torch.ones(tokens, seen, dtype=torch.bool, device=q.device).tril(seen - tokens)
        attended = F.scaled_dot_product_attention(
            queries.transpose(0, 1)[None],
            keys.transpose(0, 1)[None],
            values.transpose(0, 1)[None],
            attn_mask=mask,
            is_causal=causal and tokens == seen > 1,
            scale=scale,
            enable_gqa=shared,
        )
        outputs.append(attended[0].transpose(0, 1))
    return torch.cat(outputs)
