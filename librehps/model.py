"""A preference model: a backbone and the heads that score its hidden states."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import nn

from librehps.errors import CheckpointError, ConfigError
from librehps.heads import AXES, POOLINGS, Head, HeadOutput, Reading, SequenceHead
from librehps.heads.infer import infer_heads
from librehps.inputs.batch import Batch
from librehps.inputs.processor import Processor
from librehps.model_config import (
    LibreHPSConfig,
    build_heads,
    config_json,
    folder_files,
    read_config,
)
from librehps.modeling.backbone import Qwen3_5Backbone
from librehps.modeling.checkpoint import CheckpointReader
from librehps.modeling.checkpoint_writer import write_checkpoint
from librehps.modeling.config import Qwen3_5Config
from librehps.modeling.materialize import (
    check_backbone,
    fill_backbone,
    sort_names,
    without_memory,
)
from librehps.modeling.precision import keeps_float32
from librehps.typing import Tensor

__all__ = ["PreferenceModel"]


class Backbone(Protocol):
    """What a preference model needs of its backbone, which is an ``nn.Module``."""

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states."""
        ...

    @property
    def config(self) -> Qwen3_5Config:
        """What ``config.json`` says about it."""
        ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return an object whose ``hidden`` is ``[T, D]``; arguments as `Qwen3_5Backbone`'s."""
        ...


class PreferenceModel(nn.Module):
    """Score packed sequences: backbone, pooling, heads.

    The backbone is the child ``model`` and a head called ``scalar`` is the child ``scalar_head``,
    so that the names in ``state_dict()`` are those in the file.

    Args:
        backbone: Computes hidden states; usually a `Qwen3_5Backbone`.
        heads: Heads by name.
        pooling: A name in ``POOLINGS``.
        trained: False while the weights are random: who shows a score must then say so.

    Raises:
        ConfigError: No head (code ``heads_missing``), a name that cannot be one (``head_name``), or
            an unknown pooling (``name_unknown``).
    """

    def __init__(
        self,
        backbone: nn.Module,
        heads: Mapping[str, Head],
        *,
        pooling: str = "last",
        trained: bool = False,
    ) -> None:
        super().__init__()
        if not heads:
            raise ConfigError("a preference model needs at least one head", code="heads_missing")
        _ = POOLINGS[pooling]
        self.model = backbone
        self.pooling = pooling
        self.trained = trained
        self._head_names = tuple(heads)
        for name, head in heads.items():
            # lm_head is what language models call their output matrix, which is skipped on loading.
            if not name.isidentifier() or name == "lm" or not isinstance(head, nn.Module):
                raise ConfigError(
                    f"{name!r} cannot name a head, or {type(head).__name__} is no nn.Module",
                    code="head_name",
                )
            self.add_module(f"{name}_head", head)

    @property
    def heads(self) -> dict[str, Head]:
        """The heads by name."""
        return {name: cast("Head", getattr(self, f"{name}_head")) for name in self._head_names}

    @property
    def axes(self) -> tuple[str, ...]:
        """What the heads score between them, in the order in which axes are shown."""
        scored = {axis for head in self.heads.values() for axis in head.axes}
        return tuple(axis for axis in AXES if axis in scored)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the backbone's matrices; a few of its parameters and the heads are float32."""
        for name, parameter in self.model.named_parameters():
            if not keeps_float32(name):
                return parameter.dtype
        return torch.float32

    def forward(self, batch: Batch, *, deterministic: bool = False) -> dict[str, HeadOutput]:
        """Score every sequence of a batch.

        Args:
            batch: Packed sequences, on the device of the weights.
            deterministic: Compute each sequence by itself: slower, and then equal to the last bit
                whatever it is packed with. Otherwise sequences agree within the tolerance
                ``packed_alone_float32``: matrix products of other sizes round differently.

        Returns:
            The output of each head by its name, sequences in the order of the batch.
        """
        if not deterministic:
            return self._score(batch)
        parts = [self._score(part) for part in batch.split()]
        return {name: _join([part[name] for part in parts]) for name in self._head_names}

    def _score(self, batch: Batch) -> dict[str, HeadOutput]:
        reading = Reading(
            self.heads,
            pooling=self.pooling,
            cu_seqlens=batch.cu_seqlens,
            pooled_index=batch.pooled_index,
        )
        hidden = self.model(
            batch.input_ids,
            positions=batch.positions,
            cu_seqlens=batch.cu_seqlens,
            patches=batch.patches,
            grid_thw=batch.grid_thw,
            output_index=reading.tokens,
        ).hidden
        return reading.score(hidden)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        attn_impl: str = "auto",
        kernel_impl: str = "auto",
        backbone: str = "native",
        heads: Mapping[str, Head] | None = None,
    ) -> PreferenceModel:
        """Load a checkpoint folder, strictly: every tensor has its place and every place a tensor.

        The model is built without memory, then filled tensor by tensor: the peak is the resident
        weights and a few megabytes. ``mtp.*`` and ``lm_head.*`` are skipped. ``A_log``, the gate
        norm of linear layers and the heads stay in float32 whatever ``dtype``.

        Args:
            folder: A reward checkpoint, or with ``heads`` any Hugging Face Qwen3.5 folder.
            device: Where the weights go.
            dtype: Of the backbone's weights.
            attn_impl: See `Qwen3_5Backbone`.
            kernel_impl: See `Qwen3_5Backbone`.
            backbone: ``"native"``, or ``"transformers"`` for the stock model under the same heads.
            heads: Fresh heads to put in the place of any that the folder holds; the model then
                counts as untrained.

        Returns:
            The model, in evaluation mode.

        Raises:
            CheckpointError: The folder is missing, damaged, hostile or not understood; ``code``
                says which, ``item`` names the file or the tensor.
            ConfigError: ``backbone`` is neither of the two (code ``backbone_unknown``).
            BackendError: An implementation that is not available here.
        """
        if backbone not in ("native", "transformers"):
            raise ConfigError(
                f"backbone is {backbone!r}; it must be 'native' or 'transformers'",
                code="backbone_unknown",
            )
        folder = Path(folder)
        reader = CheckpointReader(folder)
        config, described = read_config(folder)
        names = sort_names(reader)
        stored: dict[str, str] | None = None
        if heads is None:
            heads, stored = _stored_heads(names.others, described, config.text.hidden_size)
        try:
            with without_memory():
                native = Qwen3_5Backbone(
                    config,
                    attn_impl=attn_impl if backbone == "native" else "auto",
                    kernel_impl=kernel_impl,
                )
        except (RuntimeError, TypeError) as error:
            # No memory is taken here: what fails is a size that no tensor can have, or, which torch
            # calls a wrong type, one that 64 bits cannot hold.
            reason, _, _ = str(error).partition("\n")
            raise CheckpointError(
                f"asks for a model that cannot be built ({reason})",
                code="ckpt_config",
                item=str(folder / "config.json"),
            ) from error
        check_backbone(native, reader, names)
        module: nn.Module = native
        if backbone == "transformers":
            from librehps.modeling.transformers_backbone import TransformersBackbone

            module = TransformersBackbone.from_pretrained(
                folder, dtype=dtype, device=device, attn_impl=attn_impl
            )
        else:
            fill_backbone(native, reader, names, dtype=dtype, device=device)
        model = cls(
            module,
            heads,
            pooling="last" if described is None else described.pooling,
            trained=stored is not None and (described is None or described.trained),
        )
        for name in heads:
            head = model.get_submodule(f"{name}_head").to(device)
            if stored is not None:
                for key, tensor in head.state_dict().items():
                    reader.read_into(stored[f"{name}_head.{key}"], tensor)
        return model.eval()

    def save_pretrained(
        self,
        folder: str | os.PathLike[str],
        *,
        processor: Processor,
        max_shard_bytes: int = 5_000_000_000,
    ) -> None:
        """Write a checkpoint folder that this class and stock transformers load.

        All of it is written or nothing: an older checkpoint stays until the new one is complete.

        Args:
            folder: A new or empty folder, or a checkpoint to replace.
            processor: Its tokenizer, template, budget and limit go into the folder.
            max_shard_bytes: Largest weight file.

        Raises:
            CheckpointError: See `write_checkpoint`.
            ConfigError: A head reads more of the last tokens than the processor's template ends
                with: some would be the user's (code ``template_tail_short``).
        """
        _check_tail(self.heads, processor)
        config = LibreHPSConfig(
            heads={name: head.to_config() for name, head in self.heads.items()},
            axes=self.axes,
            pooling=self.pooling,
            prompt_template=processor.template,
            pixel_budget=processor.budget,
            max_prompt_tokens=processor.max_prompt_tokens,
            trained=self.trained,
        )
        backbone = cast("Backbone", self.model)
        write_checkpoint(
            Path(folder),
            self.state_dict(),
            config=config_json(backbone.config, config),
            extra_files=folder_files(
                config,
                tokenizer_json=processor.tokenizer.to_json(),
                num_params=backbone.config.num_params(),
                max_length=backbone.config.text.max_position_embeddings,
            ),
            max_shard_bytes=max_shard_bytes,
        )


def _check_tail(heads: Mapping[str, Head], processor: Processor) -> None:
    own = processor.num_tail_tokens
    for name, head in heads.items():
        count = head.last_tokens if isinstance(head, SequenceHead) else None
        if count is not None and count > own:
            raise ConfigError(
                f"the head {name!r} reads the last {count} tokens, and only {own} at the end of "
                "the prompt template are its own: let it end with more special tokens or text, "
                "behind the image and the prompt",
                code="template_tail_short",
            )


def _stored_heads(
    shapes: Mapping[str, tuple[int, ...]], described: LibreHPSConfig | None, hidden_size: int
) -> tuple[dict[str, Head], dict[str, str]]:
    """Return the heads of a folder, and for each of their parameters the tensor's name."""
    if described is None:
        found = infer_heads(shapes, hidden_size=hidden_size)
        for note in found.notes:
            warnings.warn(note, UserWarning, stacklevel=3)
        return found.heads, found.names
    # Without memory first: a config may ask for more than the file holds, or than there is.
    with without_memory():
        asked = build_heads(described, hidden_size=hidden_size)
    wanted: set[str] = set()
    for name, head in asked.items():
        tensors = cast("nn.Module", head).state_dict()
        of_head = {f"{name}_head.{key}" for key in tensors}
        missing = sorted(of_head - set(shapes))
        if missing:
            raise CheckpointError(
                f"config.json describes the head {name!r}, but the checkpoint does not have "
                f"{', '.join(missing)}",
                code="heads_missing" if len(missing) == len(of_head) else "ckpt_missing_tensor",
                item=f"{name}_head",
            )
        for key, tensor in tensors.items():
            tensor_name = f"{name}_head.{key}"
            if shapes[tensor_name] != tuple(tensor.shape):
                raise CheckpointError(
                    f"has shape {list(shapes[tensor_name])}; "
                    f"config.json asks for {list(tensor.shape)}",
                    code="ckpt_shape",
                    item=tensor_name,
                )
        wanted |= of_head
    unexpected = sorted(set(shapes) - wanted)
    if unexpected:
        raise CheckpointError(
            "belongs neither to the backbone nor to a head that config.json describes"
            + (f"; so do {len(unexpected) - 1} more" if len(unexpected) > 1 else ""),
            code="ckpt_unexpected_tensor",
            item=unexpected[0],
        )
    heads = build_heads(described, hidden_size=hidden_size)
    return heads, {name: name for name in wanted}


def _join(outputs: list[HeadOutput]) -> HeadOutput:
    sigmas: list[Tensor] = [output.sigma for output in outputs if output.sigma is not None]
    return HeadOutput(
        mean=torch.cat([output.mean for output in outputs]),
        sigma=torch.cat(sigmas) if sigmas else None,
        axes=outputs[0].axes,
    )
