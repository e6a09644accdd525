"""Token ids and patches to hidden states: the Qwen3.5 backbone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from librehps.modeling.config import Qwen3_5Config
from librehps.modeling.fuse import encode_vision, fuse_vision
from librehps.modeling.initialization import initialize
from librehps.modeling.precision import keeps_float32
from librehps.modeling.state import BackboneState
from librehps.modeling.text import Qwen3_5TextModel
from librehps.modeling.vision.encoder import Qwen3_5VisionEncoder
from librehps.typing import Float, Int, Tensor


@dataclass(frozen=True)
class BackboneOutput:
    """What a backbone returns.

    Args:
        hidden: Hidden states after the final norm, of all tokens or of those asked for.
        state: The state after the last token of each sequence, where it was asked for.
    """

    hidden: Float[Tensor, "M D"]
    state: BackboneState | None = None


class Qwen3_5Backbone(nn.Module):
    """Vision tower and language model, over packed sequences.

    Its parameters have the names that Hugging Face's files give them after ``model.``.

    Args:
        config: Shape of the model.
        attn_impl: Implementation of attention: ``auto``, ``fa4``, ``fa2``, ``sdpa``, ``eager``.
        kernel_impl: Implementation of the other ops: ``auto``, ``triton``, ``torch``.
    """

    def __init__(
        self, config: Qwen3_5Config, *, attn_impl: str = "auto", kernel_impl: str = "auto"
    ) -> None:
        super().__init__()
        self.config = config
        self.visual = Qwen3_5VisionEncoder(
            config.vision, attn_impl=attn_impl, kernel_impl=kernel_impl
        )
        self.language_model = Qwen3_5TextModel(
            config.text, attn_impl=attn_impl, kernel_impl=kernel_impl
        )

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states."""
        return self.config.text.hidden_size

    @property
    def gradient_checkpointing(self) -> bool:
        """Whether blocks are computed again in the backward pass instead of being remembered."""
        return self.language_model.gradient_checkpointing

    @gradient_checkpointing.setter
    def gradient_checkpointing(self, enabled: bool) -> None:
        self.language_model.gradient_checkpointing = enabled
        self.visual.gradient_checkpointing = enabled

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw fresh weights; the same generator gives the same weights in the same dtype.

        Args:
            generator: Source of randomness, on the parameters' device.
        """
        initialize(self.visual, std=self.config.vision.initializer_range, generator=generator)
        initialize(self.language_model, std=self.config.text.initializer_range, generator=generator)

    def cast_(self, dtype: torch.dtype) -> Qwen3_5Backbone:
        """Cast the parameters in place, but for those that stay in float32."""
        for name, parameter in self.named_parameters():
            parameter.data = parameter.data.to(torch.float32 if keeps_float32(name) else dtype)
        return self

    def encode_images(
        self, patches: Float[Tensor, "P patch_dim"], grid_thw: Int[Tensor, "I 3"]
    ) -> Float[Tensor, "M D"]:
        """Run the vision tower; see ``Qwen3_5VisionEncoder.forward``."""
        return self.visual(patches, grid_thw)

    def embed(
        self,
        input_ids: Int[Tensor, " T"],
        *,
        patches: Float[Tensor, "P patch_dim"] | None = None,
        grid_thw: Int[Tensor, "I 3"] | None = None,
    ) -> Float[Tensor, "T D"]:
        """Embed tokens, with the pictures in their places.

        Args:
            input_ids: Token ids of all sequences, end to end.
            patches: Patches of all pictures, in the order of the sequences.
            grid_thw: Frames, rows and columns of patches of each picture.

        Raises:
            InputError: Placeholders and pictures do not match (code ``vision_token_mismatch``), or
                ``grid_thw`` does not describe ``patches``, or one of the two is missing (code
                ``grid_mismatch``).
        """
        return fuse_vision(
            self.language_model.embed_tokens(input_ids),
            encode_vision(self.encode_images, patches, grid_thw),
            placeholders=(input_ids == self.config.image_token_id)
            | (input_ids == self.config.video_token_id),
        )

    def forward(
        self,
        input_ids: Int[Tensor, " T"],
        *,
        positions: Int[Tensor, "3 T"],
        cu_seqlens: Int[Tensor, " N_plus_1"],
        patches: Float[Tensor, "P patch_dim"] | None = None,
        grid_thw: Int[Tensor, "I 3"] | None = None,
        state: BackboneState | None = None,
        return_state: bool = False,
        output_index: Int[Tensor, " M"] | None = None,
    ) -> BackboneOutput:
        """Compute the hidden states of tokens.

        Args:
            input_ids: Token ids of all sequences, end to end.
            positions: Time, row and column of each token.
            cu_seqlens: Where each sequence starts, and the total.
            patches: Patches of all pictures, in the order of the sequences.
            grid_thw: Frames, rows and columns of patches of each picture.
            state: What an earlier call returned for the same sequences, to continue them.
            return_state: Whether to return the state after the last token of each sequence.
            output_index: Tokens whose hidden states are wanted, by their positions in the pack;
                ``None`` for all. The last MLP then runs for these alone.

        Returns:
            Hidden states after the final norm in the dtype of the weights, and the state.

        Raises:
            InputError: See ``embed``; or the state is another model's (code ``state_mismatch``).
        """
        hidden, new_state = self.language_model(
            self.embed(input_ids, patches=patches, grid_thw=grid_thw),
            positions=positions,
            cu_seqlens=cu_seqlens,
            state=state,
            return_state=return_state,
            output_index=output_index,
        )
        return BackboneOutput(hidden, new_state)
