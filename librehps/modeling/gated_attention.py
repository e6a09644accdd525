"""Softmax attention with an output gate."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from librehps.kernels.attention import attention
from librehps.kernels.rotary import rotary as rotate
from librehps.modeling.config import Qwen3_5TextConfig
from librehps.modeling.mixer import MIXERS, Rotary
from librehps.modeling.norm import ZeroCentredRMSNorm
from librehps.modeling.state import AttentionState, check_state
from librehps.typing import Float, Int, Tensor


class GatedAttention(nn.Module):
    """Grouped-query attention whose heads are normalised, partly rotated, and gated.

    With ``[q_h | gate_h]`` the two halves of head ``h`` in ``q_proj(x)``::

        q = rotate(norm(q)),  k = rotate(norm(k_proj(x))),  v = v_proj(x)
        y = o_proj(softmax(q kᵀ / sqrt(K)) v · sigmoid(gate))

    Args:
        config: Shape of the text model.
        layer_index: Place of the layer; not needed here.
        attn_impl: Implementation of attention.
        kernel_impl: Implementation of the other ops.
    """

    module_name: ClassVar[str] = "self_attn"

    def __init__(
        self, config: Qwen3_5TextConfig, *, layer_index: int, attn_impl: str, kernel_impl: str
    ) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.attn_impl = attn_impl
        self.kernel_impl = kernel_impl
        width = config.hidden_size
        query_dim = config.num_attention_heads * config.head_dim
        key_dim = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(width, 2 * query_dim, bias=False)
        self.k_proj = nn.Linear(width, key_dim, bias=False)
        self.v_proj = nn.Linear(width, key_dim, bias=False)
        self.o_proj = nn.Linear(query_dim, width, bias=False)
        eps = config.rms_norm_eps
        self.q_norm = ZeroCentredRMSNorm(config.head_dim, eps=eps, kernel_impl=kernel_impl)
        self.k_norm = ZeroCentredRMSNorm(config.head_dim, eps=eps, kernel_impl=kernel_impl)

    @staticmethod
    def num_params(config: Qwen3_5TextConfig) -> int:
        """Count the parameters: four projections, one of them double, and two norms."""
        rows = (3 * config.num_attention_heads + 2 * config.num_key_value_heads) * config.head_dim
        return rows * config.hidden_size + 2 * config.head_dim

    def forward(
        self,
        x: Float[Tensor, "T D"],
        *,
        rotary: Rotary,
        cu_seqlens: Int[Tensor, " N_plus_1"],
        state: AttentionState | None = None,
        return_state: bool = False,
    ) -> tuple[Float[Tensor, "T D"], AttentionState | None]:
        """Mix the tokens of each sequence; see ``TokenMixer``."""
        query, gate = self.q_proj(x).unflatten(-1, (-1, 2 * self.head_dim)).chunk(2, dim=-1)
        key = self.k_proj(x).unflatten(-1, (-1, self.head_dim))
        value = self.v_proj(x).unflatten(-1, (-1, self.head_dim))
        query = rotate(self.q_norm(query), *rotary, impl=self.kernel_impl)
        key = rotate(self.k_norm(key), *rotary, impl=self.kernel_impl)

        known = AttentionState(key=key, value=value, cu_seqlens=cu_seqlens)
        if state is not None:
            check_state(state, AttentionState)
            known = state.extend(known)
        mixed = attention(
            query,
            known.key,
            known.value,
            cu_seqlens_q=cu_seqlens,
            cu_seqlens_k=known.cu_seqlens,
            causal=True,
            scale=self.head_dim**-0.5,
            impl=self.attn_impl,
        )
        y = self.o_proj((mixed * torch.sigmoid(gate)).flatten(1))
        return y, known if return_state else None


MIXERS.register("full_attention")(GatedAttention)
