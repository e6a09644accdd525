"""Attention among the patches of one frame."""

from __future__ import annotations

from torch import nn

from librehps.kernels.attention import attention
from librehps.kernels.rotary import rotary as rotate
from librehps.modeling.vision.config import Qwen3_5VisionConfig
from librehps.typing import Float, Int, Tensor


class VisionAttention(nn.Module):
    """Every patch looks at all patches of its own frame, and at no other.

    Args:
        config: Shape of the tower.
        attn_impl: Implementation of attention: ``auto``, ``sdpa``, ``eager``, ...
        kernel_impl: Implementation of the other ops.
    """

    def __init__(self, config: Qwen3_5VisionConfig, *, attn_impl: str, kernel_impl: str) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.head_dim = config.head_dim
        self.attn_impl = attn_impl
        self.kernel_impl = kernel_impl
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        x: Float[Tensor, "P D"],
        *,
        rotary: tuple[Float[Tensor, "P K"], Float[Tensor, "P K"]],
        cu_seqlens: Int[Tensor, " frames_plus_1"],
    ) -> Float[Tensor, "P D"]:
        """Mix the patches of each frame.

        Args:
            x: Normalised hidden states.
            rotary: Cosines and sines in float32; the rotation is computed in float32.
            cu_seqlens: Where each frame starts, and the total.
        """
        qkv = self.qkv(x).view(-1, 3, self.num_heads, self.head_dim)
        query, key, value = qkv.unbind(1)
        query = rotate(query, *rotary, impl=self.kernel_impl)
        key = rotate(key, *rotary, impl=self.kernel_impl)
        mixed = attention(
            query,
            key,
            value,
            cu_seqlens_q=cu_seqlens,
            cu_seqlens_k=cu_seqlens,
            causal=False,
            scale=self.head_dim**-0.5,
            impl=self.attn_impl,
        )
        return self.proj(mixed.flatten(1))
