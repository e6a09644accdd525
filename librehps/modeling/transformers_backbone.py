"""The stock model of the transformers package behind this library's backbone interface.

It is the live parity check: the same heads over an independent implementation. It is slower, since
stock layers cannot tell packed sequences apart and every sequence has to run alone.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from librehps.errors import BackendError, CheckpointError
from librehps.kernels.backend import choose_attention
from librehps.modeling.backbone import BackboneOutput
from librehps.modeling.checkpoint import read_json
from librehps.modeling.config import Qwen3_5Config
from librehps.modeling.fuse import encode_vision, fuse_vision
from librehps.modeling.state import BackboneState
from librehps.typing import Float, Int, Tensor

_OWN_PREFIXES = ("model.", "language_model.", "visual.")
# The mixers of the stock model.
_STOCK_MIXERS = {"linear_attention", "full_attention"}


class TransformersBackbone(nn.Module):
    """Runs ``Qwen3_5Model`` of transformers; takes and gives what ``Qwen3_5Backbone`` does.

    Args:
        model: A ``transformers.Qwen3_5Model``; its two parts become children of this module, so
            that the parameters have the same names as in ``Qwen3_5Backbone``.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.config = Qwen3_5Config.from_hf(model.config.to_dict())
        self.visual: Any = model.visual
        self.language_model: Any = model.language_model
        self._gradient_checkpointing = False

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        attn_impl: str = "auto",
    ) -> TransformersBackbone:
        """Let transformers load a checkpoint folder.

        Args:
            folder: A folder that stock transformers reads; other tensors in it, such as heads, are
                left alone.
            dtype: Dtype of all parameters: transformers makes no exception for the decay rates.
            device: Where the model goes.
            attn_impl: Implementation of attention: ``auto``, ``sdpa``, ``eager``, ...

        Raises:
            BackendError: transformers is not installed (code ``transformers_missing``), its model
                has no such layers (code ``transformers_layers``), or ``attn_impl`` is not available
                here (code ``attention_unavailable``).
            CheckpointError: The folder and the model do not hold the same tensors (code
                ``ckpt_missing_tensor`` or ``ckpt_unexpected_tensor``), or a weight is not finite
                (``weight_not_finite``).
        """
        try:
            from transformers import AutoModel
        except ModuleNotFoundError as error:
            raise BackendError(
                "backbone='transformers' needs that package: pip install 'librehps[transformers]'",
                code="transformers_missing",
            ) from error
        _refuse_other_mixers(Path(folder))
        with _quiet():
            model, loading = AutoModel.from_pretrained(
                str(folder),
                dtype=dtype,
                attn_implementation=choose_attention(attn_impl, torch.device(device)).name,
                output_loading_info=True,
                local_files_only=True,
            )
        lost = {*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])}
        if lost:
            raise CheckpointError(
                f"transformers found no fitting tensor for {sorted(lost)}",
                code="ckpt_missing_tensor",
                item=str(folder),
            )
        unexpected = [key for key in loading["unexpected_keys"] if key.startswith(_OWN_PREFIXES)]
        if unexpected:
            raise CheckpointError(
                f"transformers has no place for {sorted(unexpected)}",
                code="ckpt_unexpected_tensor",
                item=str(folder),
            )
        for name, parameter in model.named_parameters():
            # The smallest and the largest are finite if and only if all are, and cheap to find.
            if not bool(torch.stack(torch.aminmax(parameter.detach())).isfinite().all()):
                raise CheckpointError(
                    "holds a NaN or an infinity", code="weight_not_finite", item=f"model.{name}"
                )
        return cls(model.to(device).eval())

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states."""
        return self.config.text.hidden_size

    @property
    def gradient_checkpointing(self) -> bool:
        """Whether blocks are computed again in the backward pass; needs training mode."""
        return self._gradient_checkpointing

    @gradient_checkpointing.setter
    def gradient_checkpointing(self, enabled: bool) -> None:
        self._gradient_checkpointing = enabled
        verb = "enable" if enabled else "disable"
        for part in (self.visual, self.language_model):
            # transformers is renaming this pair; the older name of it warns where both are there.
            newer = getattr(part, f"activation_checkpointing_{verb}", None)
            (newer or getattr(part, f"gradient_checkpointing_{verb}"))()

    def encode_images(
        self, patches: Float[Tensor, "P patch_dim"], grid_thw: Int[Tensor, "I 3"]
    ) -> Float[Tensor, "M D"]:
        """Run the stock vision tower."""
        return self.visual(patches.to(self.visual.dtype), grid_thw=grid_thw).pooler_output

    def embed(
        self,
        input_ids: Int[Tensor, " T"],
        *,
        patches: Float[Tensor, "P patch_dim"] | None = None,
        grid_thw: Int[Tensor, "I 3"] | None = None,
    ) -> Float[Tensor, "T D"]:
        """Embed tokens, with the pictures in their places; see ``Qwen3_5Backbone.embed``."""
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
        """Compute the hidden states of tokens, one sequence after the other.

        Args:
            input_ids: Token ids of all sequences, end to end.
            positions: Time, row and column of each token.
            cu_seqlens: Where each sequence starts, and the total.
            patches: Patches of all pictures, in the order of the sequences.
            grid_thw: Frames, rows and columns of patches of each picture.
            state: Must be ``None``.
            return_state: Must be ``False``.
            output_index: Tokens whose hidden states are wanted; ``None`` for all.

        Raises:
            InputError: See ``Qwen3_5Backbone.embed``.
            BackendError: A state was given or asked for (code ``state_unavailable``).
        """
        if state is not None or return_state:
            raise BackendError(
                "the transformers backbone hands over no state; use backbone='native'",
                code="state_unavailable",
            )
        embeddings = self.embed(input_ids, patches=patches, grid_thw=grid_thw)
        lengths: list[int] = cu_seqlens.diff().tolist()
        sequences = zip(embeddings.split(lengths), positions.split(lengths, dim=1), strict=True)
        hidden = [
            self.language_model(
                inputs_embeds=sequence[None], position_ids=place[:, None], use_cache=False
            ).last_hidden_state[0]
            for sequence, place in sequences
        ]
        states = torch.cat(hidden)
        return BackboneOutput(states if output_index is None else states[output_index])


def _refuse_other_mixers(folder: Path) -> None:
    """Raise before transformers does, which would list its own names for layers."""
    text = read_json(folder, "config.json").get("text_config")
    listed: Any = text.get("layer_types") if isinstance(text, Mapping) else None
    others = sorted({str(name) for name in listed or ()} - _STOCK_MIXERS)
    if others:
        raise BackendError(
            f"the stock model of transformers has no layers of type {', '.join(others)}; use "
            "backbone='native'",
            code="transformers_layers",
            item=str(folder),
        )


@contextmanager
def _quiet() -> Generator[None]:
    """Silence the report that transformers logs on loading, and its bar.

    It calls the heads of a reward checkpoint unexpected; what matters in it is checked here.
    """
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
