"""One layer of the text model."""

from __future__ import annotations

from typing import Any

from torch import nn

from librehps.modeling.config import Qwen3_5TextConfig
from librehps.modeling.mixer import MIXERS, Rotary, TokenMixer
from librehps.modeling.mlp import GatedMLP
from librehps.modeling.norm import ZeroCentredRMSNorm
from librehps.typing import Float, Int, Tensor


class Block(nn.Module):
    """``x += mixer(input_layernorm(x)); x += mlp(post_attention_layernorm(x))``.

    The mixer is the one that ``layer_types`` names; it is a child under its own ``module_name``.

    Args:
        config: Shape of the text model.
        layer_index: Place of the layer.
        attn_impl: Implementation of attention.
        kernel_impl: Implementation of the other ops.

    Raises:
        ConfigError: No mixer has the layer type's name (code ``name_unknown``).
    """

    def __init__(
        self, config: Qwen3_5TextConfig, *, layer_index: int, attn_impl: str, kernel_impl: str
    ) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.rms_norm_eps
        constructor = MIXERS[config.layer_types[layer_index]]
        self._mixer_name = constructor.module_name
        mixer = constructor(
            config, layer_index=layer_index, attn_impl=attn_impl, kernel_impl=kernel_impl
        )
        self.add_module(self._mixer_name, mixer)
        self.mlp = GatedMLP(config, kernel_impl=kernel_impl)
        self.input_layernorm = ZeroCentredRMSNorm(width, eps=eps, kernel_impl=kernel_impl)
        self.post_attention_layernorm = ZeroCentredRMSNorm(width, eps=eps, kernel_impl=kernel_impl)

    @property
    def mixer(self) -> TokenMixer:
        """The token mixer, whatever its name in the checkpoint."""
        return getattr(self, self._mixer_name)

    def forward(
        self,
        x: Float[Tensor, "T D"],
        *,
        rotary: Rotary,
        cu_seqlens: Int[Tensor, " N_plus_1"],
        state: Any = None,
        return_state: bool = False,
        output_index: Int[Tensor, " M"] | None = None,
    ) -> tuple[Float[Tensor, "M D"], Any]:
        """Run the layer.

        Args:
            x: Hidden states, sequences end to end.
            rotary: See ``TokenMixer``, as for the next three.
            cu_seqlens: Where each sequence starts, and the total.
            state: The mixer's state to continue from.
            return_state: Whether to return the mixer's state.
            output_index: Tokens that are wanted; ``None`` for all. All are mixed, but the MLP works
                on each token by itself and runs for these alone.

        Returns:
            The hidden states of the tokens that are wanted, and the mixer's state or ``None``.
        """
        mixed, new_state = self.mixer(
            self.input_layernorm(x),
            rotary=rotary,
            cu_seqlens=cu_seqlens,
            state=state,
            return_state=return_state,
        )
        if output_index is not None:
            x, mixed = x[output_index], mixed[output_index]
        read, x = self.post_attention_layernorm.of_sum(mixed, x)
        return x + self.mlp(read), new_state
