"""One block of the vision tower."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from librehps.modeling.vision.attention import VisionAttention
from librehps.modeling.vision.config import Qwen3_5VisionConfig
from librehps.typing import Float, Int, Tensor

LAYER_NORM_EPS = 1e-6


class VisionMLP(nn.Module):
    """``fc2(gelu(fc1(x)))`` with the tanh form of GELU."""

    def __init__(self, config: Qwen3_5VisionConfig) -> None:
        super().__init__()
        self.linear_fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.linear_fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Float[Tensor, "P D"]) -> Float[Tensor, "P D"]:
        """Transform each patch by itself."""
        return self.linear_fc2(F.gelu(self.linear_fc1(x), approximate="tanh"))


class VisionBlock(nn.Module):
    """``x += attn(norm1(x)); x += mlp(norm2(x))``.

    Args:
        config: Shape of the tower.
        attn_impl: Implementation of attention.
        kernel_impl: Implementation of the other ops.
    """

    def __init__(self, config: Qwen3_5VisionConfig, *, attn_impl: str, kernel_impl: str) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.attn = VisionAttention(config, attn_impl=attn_impl, kernel_impl=kernel_impl)
        self.mlp = VisionMLP(config)

    def forward(
        self,
        x: Float[Tensor, "P D"],
        *,
        rotary: tuple[Float[Tensor, "P K"], Float[Tensor, "P K"]],
        cu_seqlens: Int[Tensor, " frames_plus_1"],
    ) -> Float[Tensor, "P D"]:
        """Run the block; see ``VisionAttention.forward`` for the arguments."""
        x = x + self.attn(self.norm1(x), rotary=rotary, cu_seqlens=cu_seqlens)
        return x + self.mlp(self.norm2(x))
