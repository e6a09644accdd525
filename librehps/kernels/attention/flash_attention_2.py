"""Packed attention by the package flash-attn: FlashAttention-2, on Ampere and newer.

Written for version 2.8.3, whose function is::

    flash_attn_varlen_func(
        q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, dropout_p=0.0,
        softmax_scale=None, causal=False, window_size=(-1, -1), softcap=0.0, alibi_slopes=None,
        deterministic=False, return_attn_probs=False, block_table=None,
    )

It wants q [T, H, K] and k, v [S, G, K] in float16 or bfloat16, boundaries in int32, and the longest
lengths as plain numbers; a causal mask ends at the last key, as ours does. It returns [T, H, K].
"""

from __future__ import annotations

import torch

from librehps.kernels.attention.prefixes import check_prefixes
from librehps.kernels.flash_packages import FLASH_PACKAGES
from librehps.typing import Float, Int, Tensor

__all__ = ["attention_flash_2"]


def attention_flash_2(
    q: Float[Tensor, "T H K"],
    k: Float[Tensor, "S G K"],
    v: Float[Tensor, "S G V"],
    *,
    cu_seqlens_q: Int[Tensor, " N_plus_1"],
    cu_seqlens_k: Int[Tensor, " N_plus_1"],
    causal: bool,
    scale: float,
) -> Float[Tensor, "T H V"]:
    """Compute `librehps.kernels.attention` with one call for the whole pack.

    The longest lengths size the launch; reading them waits for the device, once a call. A bound
    without waiting, the size of the pack, would launch a block for every sequence and every tile
    of the pack. The backward pass is bit for bit repeatable where
    ``torch.use_deterministic_algorithms`` asks for it.

    Raises:
        InputError: Under a causal mask a sequence has fewer keys than queries (``boundaries``).
        BackendError: The package, the device, the dtype or the widths do not allow it (code
            ``attention_unavailable``).

    References:
        Dao, FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning,
        arXiv 2307.08691.
    """
    function = FLASH_PACKAGES["fa2"].function(
        q.device, dtype=q.dtype, widths=(k.shape[-1], v.shape[-1])
    )
    queries, keys = cu_seqlens_q.diff(), cu_seqlens_k.diff()
    *longest, prefix = torch.stack([queries.max(), keys.max(), (keys - queries).min()]).tolist()
    if causal and prefix < 0:
        check_prefixes(queries.tolist(), keys.tolist())
    return function(
        q,
        k,
        v,
        cu_seqlens_q=cu_seqlens_q.to(torch.int32),
        cu_seqlens_k=cu_seqlens_k.to(torch.int32),
        max_seqlen_q=longest[0],
        max_seqlen_k=longest[1],
        softmax_scale=scale,
        causal=causal,
        deterministic=torch.are_deterministic_algorithms_enabled(),
    )
