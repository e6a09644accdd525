"""The gated MLP of the text model."""

from __future__ import annotations

from torch import nn

from librehps.kernels.swiglu import swiglu
from librehps.modeling.config import Qwen3_5TextConfig
from librehps.typing import Float, Tensor


class GatedMLP(nn.Module):
    """``down(silu(gate(x)) · up(x))``.

    Args:
        config: Shape of the text model.
        kernel_impl: Implementation of the gate.
    """

    def __init__(self, config: Qwen3_5TextConfig, *, kernel_impl: str) -> None:
        super().__init__()
        self.kernel_impl = kernel_impl
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Float[Tensor, "T D"]) -> Float[Tensor, "T D"]:
        """Transform each token by itself."""
        return self.down_proj(swiglu(self.gate_proj(x), self.up_proj(x), impl=self.kernel_impl))
