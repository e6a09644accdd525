"""The language model without its output matrix."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from librehps.errors import InputError
from librehps.modeling.block import Block
from librehps.modeling.config import Qwen3_5TextConfig
from librehps.modeling.norm import ZeroCentredRMSNorm
from librehps.modeling.rotary import multimodal_rotary
from librehps.modeling.state import BackboneState
from librehps.typing import Float, Int, Tensor


class Qwen3_5TextModel(nn.Module):
    """Embeddings to hidden states, over packed sequences.

    Args:
        config: Shape of the model.
        attn_impl: Implementation of attention.
        kernel_impl: Implementation of the other ops.
    """

    def __init__(
        self, config: Qwen3_5TextConfig, *, attn_impl: str = "auto", kernel_impl: str = "auto"
    ) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            Block(config, layer_index=index, attn_impl=attn_impl, kernel_impl=kernel_impl)
            for index in range(config.num_hidden_layers)
        )
        self.norm = ZeroCentredRMSNorm(
            config.hidden_size, eps=config.rms_norm_eps, kernel_impl=kernel_impl
        )

    def forward(
        self,
        inputs_embeds: Float[Tensor, "T D"],
        *,
        positions: Int[Tensor, "3 T"],
        cu_seqlens: Int[Tensor, " N_plus_1"],
        state: BackboneState | None = None,
        return_state: bool = False,
        output_index: Int[Tensor, " M"] | None = None,
    ) -> tuple[Float[Tensor, "M D"], BackboneState | None]:
        """Run all layers and the final norm.

        Args:
            inputs_embeds: Embeddings with vision already in them, sequences end to end.
            positions: Time, row and column of each token.
            cu_seqlens: Where each sequence starts, and the total.
            state: What an earlier call returned for the same sequences, to continue them.
            return_state: Whether to return the state after the last token of each sequence.
            output_index: Tokens whose hidden states are wanted; ``None`` for all.

        Returns:
            Hidden states after the final norm, and the new state or ``None``.

        Raises:
            InputError: The state is of a model with other layers (code ``state_mismatch``).
        """
        states = (None,) * len(self.layers) if state is None else state.layers
        if len(states) != len(self.layers):
            raise InputError(
                f"the state has {len(states)} layers, the model {len(self.layers)}",
                code="state_mismatch",
            )
        rotary = multimodal_rotary(positions, self.config, dtype=inputs_embeds.dtype)
        x, new_states = inputs_embeds, list[Any]()
        recompute = self.gradient_checkpointing and torch.is_grad_enabled()
        for layer, layer_state in zip(self.layers, states, strict=True):
            run = partial(checkpoint, layer, use_reentrant=False) if recompute else layer
            x, new_state = run(
                x,
                rotary=rotary,
                cu_seqlens=cu_seqlens,
                state=layer_state,
                return_state=return_state,
                output_index=output_index if layer is self.layers[-1] else None,
            )
            new_states.append(new_state)
        return self.norm(x), BackboneState(tuple(new_states)) if return_state else None
