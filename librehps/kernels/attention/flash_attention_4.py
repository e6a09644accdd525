"""Packed attention by the package flash-attn-4: FlashAttention-4, on Hopper and Blackwell.

Written for version 4.0.0b36, whose function in ``flash_attn.cute`` is::

    flash_attn_varlen_func(
        q, k, v, qv=None, cu_seqlens_q=None, cu_seqlens_k=None, max_seqlen_q=None,
        max_seqlen_k=None, min_seqlen_k=None, seqused_q=None, seqused_k=None,
        gather_kv_indices=None, page_table=None, softmax_scale=None, causal=False,
        window_size=(None, None), learnable_sink=None, softcap=0.0, num_splits=1, pack_gqa=None,
        deterministic=False, score_mod=None, score_mod_bwd=None, mask_mod=None,
        block_sparse_tensors=None, aux_tensors=None, aux_scalars=None, return_lse=False,
        scheduler_metadata=None, seqlen_k_per_split=None, disable_scheduler_metadata=False,
        gather_bwd_recompute_p=False, gather_bwd_token_chunk=None,
    )

The fourth argument is not the boundaries, as it is in flash-attn; all but the tensors go by name.
It wants q [T, H, K], k [S, G, K] and v [S, G, V] in float16 or bfloat16 and boundaries in int32; a
causal mask ends at the last key, as ours does. It returns the output [T, H, V] and a second value.
"""

from __future__ import annotations

import torch

from librehps.kernels.flash_packages import FLASH_PACKAGES
from librehps.typing import Float, Int, Tensor

__all__ = ["attention_flash_4"]


def attention_flash_4(
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

    The longest lengths may be left out here, so nothing waits for the device. The backward pass is
    bit for bit repeatable where ``torch.use_deterministic_algorithms`` asks for it.

    Raises:
        BackendError: The package, the device, the dtype or the widths do not allow it (code
            ``attention_unavailable``).
    """
    function = FLASH_PACKAGES["fa4"].function(
        q.device, dtype=q.dtype, widths=(k.shape[-1], v.shape[-1])
    )
    # The package compiles for the current device, whichever the tensors are on.
    with torch.cuda.device_of(q):
        mixed, _ = function(
            q,
            k,
            v,
            cu_seqlens_q=cu_seqlens_q.to(torch.int32),
            cu_seqlens_k=cu_seqlens_k.to(torch.int32),
            softmax_scale=scale,
            causal=causal,
            deterministic=torch.are_deterministic_algorithms_enabled(),
        )
    return mixed
