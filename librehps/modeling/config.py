"""The shape of a Qwen3.5 backbone: what a Hugging Face ``config.json`` says, checked and frozen.

Field names are Hugging Face's. Reading is strict: a value that this implementation cannot honour is
an error, because a model that quietly ignores its config scores quietly wrong.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from librehps.errors import ConfigError
from librehps.modeling.config_reading import (
    build,
    honour,
    honour_only,
    require,
    require_counts,
    require_measures,
    select,
)
from librehps.modeling.mamba2_config import Mamba2Config
from librehps.modeling.vision.config import Qwen3_5VisionConfig

__all__ = ["Qwen3_5Config", "Qwen3_5TextConfig", "Qwen3_5VisionConfig"]

_TOKEN_IDS = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
_ROPE_FIELDS = ("rope_theta", "partial_rotary_factor", "mrope_section")
_IMPLEMENTED_TEXT: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "attention_dropout": (0.0,),
    "attn_output_gate": (True,),
    # The later name for the gate that is here already.
    "output_gate_type": ("swish", "silu", None),
    "mamba_ssm_dtype": ("float32", None),
    "mlp_only_layers": ([], None),
    "num_experts": (0, None),
    # Older files put settings of the rotation here, such as those that stretch it.
    "rope_scaling": (None,),
}
# Far more than any model has; a file that asks for more would be built for minutes.
_MAX_LAYERS = 1024
_IMPLEMENTED_TEXT_ROPE: dict[str, tuple[Any, ...]] = {
    "rope_type": ("default",),
    "type": ("default",),
    "mrope_interleaved": (True,),
}


@dataclass(frozen=True, kw_only=True)
class Qwen3_5TextConfig:
    """The hybrid language model.

    Args:
        vocab_size: Rows of the embedding table; may exceed the tokenizer's size.
        hidden_size: Width ``D`` of the hidden states.
        intermediate_size: Width ``F`` of the MLP.
        layer_types: The token mixer of each layer, by its name in ``MIXERS``.
        num_attention_heads: Query heads of full attention.
        num_key_value_heads: Key/value heads of full attention; divides the query heads.
        head_dim: Width of an attention head; unrelated to ``hidden_size / num_attention_heads``.
        linear_num_key_heads: Query and key heads of Gated DeltaNet.
        linear_num_value_heads: Value heads of Gated DeltaNet; a multiple of the key heads.
        linear_key_head_dim: Width of a Gated DeltaNet key.
        linear_value_head_dim: Width of a Gated DeltaNet value.
        linear_conv_kernel_dim: Taps of the causal convolution, the current token included.
        mamba2: Settings of the Mamba-2 layers; Qwen's own files have none.
        rope_theta: Base of the rotary frequencies.
        partial_rotary_factor: Share of ``head_dim`` that is rotated.
        mrope_section: Frequencies that turn with time, row and column; ``None`` in the file means
            Qwen's (11, 11, 10).
        rms_norm_eps: Added to the mean square inside every RMSNorm.
        initializer_range: Standard deviation of randomly initialised matrices.
        max_position_embeddings: Longest trained position; kept for the file, not enforced.
        mtp_num_hidden_layers: Layers of the multi-token predictor, which is never loaded.
        pad_token_id: Kept for the file; padding does not exist in packed sequences.
        bos_token_id: Kept for the file.
        eos_token_id: Kept for the file; one id or several.

    Raises:
        ConfigError: A size that is not a positive integer, or sizes that do not fit together
            (code ``config_value``; ``item`` names the field); Mamba-2 layers without their settings
            (``config_missing``).
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layer_types: tuple[str, ...]
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    linear_num_key_heads: int
    linear_num_value_heads: int
    linear_key_head_dim: int
    linear_value_head_dim: int
    linear_conv_kernel_dim: int = 4
    mamba2: Mamba2Config | None = None
    rope_theta: float = 10_000_000.0
    partial_rotary_factor: float = 0.25
    mrope_section: tuple[int, int, int] = (11, 11, 10)
    rms_norm_eps: float = 1e-6
    initializer_range: float = 0.02
    max_position_embeddings: int = 262_144
    mtp_num_hidden_layers: int = 0
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        section = "text_config"
        require_counts(self, section, but=("mtp_num_hidden_layers",))
        require_measures(self, section, but=("initializer_range",))
        require(
            self.linear_conv_kernel_dim > 1,
            "a convolution of one tap mixes nothing",
            item=f"{section}.linear_conv_kernel_dim",
        )
        require(len(self.layer_types) > 0, "names no layer", item=f"{section}.layer_types")
        if "mamba2" in self.layer_types and self.mamba2 is None:
            raise ConfigError(
                "layer_types names mamba2, but its settings are missing",
                code="config_missing",
                item=f"{section}.mamba2",
            )
        require(
            self.num_attention_heads % self.num_key_value_heads == 0,
            f"{self.num_attention_heads} query heads cannot share {self.num_key_value_heads}",
            item=f"{section}.num_key_value_heads",
        )
        require(
            self.linear_num_value_heads % self.linear_num_key_heads == 0,
            f"{self.linear_num_value_heads} value heads cannot share {self.linear_num_key_heads}",
            item=f"{section}.linear_num_key_heads",
        )
        require(
            0 < self.partial_rotary_factor <= 1
            and self.rotary_dim > 0
            and self.rotary_dim % 2 == 0,
            f"{self.partial_rotary_factor} of head_dim {self.head_dim} is not an even width",
            item=f"{section}.rope_parameters.partial_rotary_factor",
        )
        # Frequency j belongs to axis j % 3 while that axis has some left, and else to time.
        time, height, width = self.mrope_section
        pairs = self.rotary_dim // 2
        interleaved = (len(range(1, pairs, 3)), len(range(2, pairs, 3)))
        require(
            sum(self.mrope_section) == pairs
            and min(time, height, width) >= 0
            and height <= interleaved[0]
            and width <= interleaved[1],
            f"{list(self.mrope_section)} cannot be interleaved over {pairs} frequencies",
            item=f"{section}.rope_parameters.mrope_section",
        )

    @property
    def num_hidden_layers(self) -> int:
        """Number of layers."""
        return len(self.layer_types)

    @property
    def rotary_dim(self) -> int:
        """Leading dimensions of each attention head that are rotated."""
        return int(self.head_dim * self.partial_rotary_factor)

    @classmethod
    def from_hf(cls, mapping: Mapping[str, Any]) -> Qwen3_5TextConfig:
        """Read the ``text_config`` part of a Hugging Face config.

        Raises:
            ConfigError: See ``Qwen3_5Config.from_hf``.
        """
        section = "text_config"
        honour(mapping, section, _IMPLEMENTED_TEXT)
        values = select(cls, mapping)
        rope = mapping.get("rope_parameters")
        place = f"{section}.rope_parameters"
        if not isinstance(rope, Mapping) or "rope_theta" not in rope:
            raise ConfigError("rope_theta is missing", code="config_missing", item=place)
        honour(rope, place, _IMPLEMENTED_TEXT_ROPE)
        honour_only(rope, place, (*_IMPLEMENTED_TEXT_ROPE, *_ROPE_FIELDS))
        values |= select(cls, rope)
        values.pop("mrope_section", None)
        parts = rope.get("mrope_section")
        if parts is not None:
            require(
                isinstance(parts, list | tuple)
                and [type(part) for part in parts] == [int, int, int],
                f"must be three integers, found {parts!r}",
                item=f"{place}.mrope_section",
            )
            values["mrope_section"] = tuple(parts)
        values["layer_types"] = _layer_types(mapping, section)
        if values.get("mamba2") is not None:
            width = mapping.get("hidden_size")
            values["mamba2"] = Mamba2Config.from_hf(values["mamba2"], hidden_size=width)
        if isinstance(mapping.get("eos_token_id"), list):
            values["eos_token_id"] = tuple(mapping["eos_token_id"])
        return build(cls, values, section)

    def to_hf(self) -> dict[str, Any]:
        """Return the ``text_config`` part of a Hugging Face config, ready for JSON."""
        values = dataclasses.asdict(self)
        theta, factor = values.pop("rope_theta"), values.pop("partial_rotary_factor")
        section = list(values.pop("mrope_section"))
        del values["mamba2"]
        mamba2 = {} if self.mamba2 is None else {"mamba2": self.mamba2.to_hf()}
        eos = self.eos_token_id
        return values | {
            "model_type": "qwen3_5_text",
            "num_hidden_layers": self.num_hidden_layers,
            "layer_types": list(self.layer_types),
            "eos_token_id": list(eos) if isinstance(eos, tuple) else eos,
            "hidden_act": "silu",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "attn_output_gate": True,
            "mamba_ssm_dtype": "float32",
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": theta,
                "partial_rotary_factor": factor,
                "mrope_section": section,
                "mrope_interleaved": True,
            },
            **mamba2,
        }

    def num_params(self, *, include_mtp: bool = False) -> int:
        """Count the parameters, without any output matrix.

        Args:
            include_mtp: Also count the multi-token predictor, which the files hold and we skip.
        """
        from librehps.modeling.mixer import MIXERS

        width = self.hidden_size
        around_mixer = 2 * width + 3 * width * self.intermediate_size
        mixers = sum(MIXERS[name].num_params(self) for name in self.layer_types)
        total = self.vocab_size * width + mixers + self.num_hidden_layers * around_mixer + width
        if include_mtp and self.mtp_num_hidden_layers:
            # A predictor layer has full attention; around them are one [D, 2D] matrix and 3 norms.
            layer = MIXERS["full_attention"].num_params(self) + around_mixer
            total += 2 * width * width + 3 * width + self.mtp_num_hidden_layers * layer
        return total


@dataclass(frozen=True, kw_only=True)
class Qwen3_5Config:
    """Text model, vision tower, and the token ids that join them.

    Args:
        text: The language model.
        vision: The vision tower.
        image_token_id: Placeholder that a merged row of a picture replaces.
        video_token_id: Placeholder that a merged row of a video frame replaces.
        vision_start_token_id: Opens a run of placeholders.
        vision_end_token_id: Closes it.
        tie_word_embeddings: Whether a language model over this backbone reuses the embedding table
            as its output matrix; kept for the file.

    Raises:
        ConfigError: The tower's output width is not the text width, or an id is outside the
            vocabulary (code ``config_value``).
    """

    text: Qwen3_5TextConfig
    vision: Qwen3_5VisionConfig
    image_token_id: int = 248_056
    video_token_id: int = 248_057
    vision_start_token_id: int = 248_053
    vision_end_token_id: int = 248_054
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        require(
            self.vision.out_hidden_size == self.text.hidden_size,
            f"{self.vision.out_hidden_size} is not the text model's width {self.text.hidden_size}",
            item="vision_config.out_hidden_size",
        )
        for name in _TOKEN_IDS:
            token_id = getattr(self, name)
            require(
                type(token_id) is int and 0 <= token_id < self.text.vocab_size,
                f"{token_id!r} is no row of the {self.text.vocab_size} embeddings",
                item=name,
            )

    @classmethod
    def from_hf(cls, mapping: Mapping[str, Any]) -> Qwen3_5Config:
        """Read a Hugging Face ``config.json``.

        Args:
            mapping: The parsed file. Keys that do not bear on the computation are ignored.

        Raises:
            ConfigError: Not a dense Qwen3.5 (code ``config_model_type``); a key is missing (code
                ``config_missing``); a value that cannot be honoured or makes no sense (code
                ``config_value``); a layer type without a token mixer (code ``name_unknown``).
        """
        if mapping.get("model_type") != "qwen3_5":
            raise ConfigError(
                f"expected the model type 'qwen3_5', found {mapping.get('model_type')!r}",
                code="config_model_type",
            )
        parts: dict[str, Mapping[str, Any]] = {}
        for name in ("text_config", "vision_config"):
            part = mapping.get(name)
            if not isinstance(part, Mapping):
                raise ConfigError("is missing or no mapping", code="config_missing", item=name)
            parts[name] = part
        values = {name: mapping[name] for name in _TOKEN_IDS if name in mapping}
        return cls(
            text=Qwen3_5TextConfig.from_hf(parts["text_config"]),
            vision=Qwen3_5VisionConfig.from_hf(parts["vision_config"]),
            tie_word_embeddings=bool(mapping.get("tie_word_embeddings", False)),
            **values,
        )

    def to_hf(self) -> dict[str, Any]:
        """Return the Hugging Face config of the same model, ready for JSON."""
        tie = self.tie_word_embeddings
        return {
            "architectures": ["Qwen3_5ForConditionalGeneration"],
            "model_type": "qwen3_5",
            **{name: getattr(self, name) for name in _TOKEN_IDS},
            "tie_word_embeddings": tie,
            "text_config": self.text.to_hf() | {"tie_word_embeddings": tie},
            "vision_config": self.vision.to_hf(),
        }

    def num_params(self, include_mtp: bool = False) -> int:
        """Count the backbone's parameters; there is no output matrix in a reward model.

        Args:
            include_mtp: Also count the multi-token predictor, which the files hold and we skip.
        """
        return self.text.num_params(include_mtp=include_mtp) + self.vision.num_params()


def _layer_types(mapping: Mapping[str, Any], section: str) -> tuple[str, ...]:
    """Read the mixer of each layer, listed or as "every n-th layer is full attention"."""
    from librehps.modeling.mixer import MIXERS

    count = mapping.get("num_hidden_layers")
    require(
        not isinstance(count, int) or count <= _MAX_LAYERS,
        f"at most {_MAX_LAYERS} layers are built, found {count!r}",
        item=f"{section}.num_hidden_layers",
    )
    listed = mapping.get("layer_types")
    if listed is None:
        interval = mapping.get("full_attention_interval", 4)
        require(
            isinstance(count, int) and isinstance(interval, int) and interval > 0,
            f"neither layer_types nor a number of layers: {count!r} with interval {interval!r}",
            item=f"{section}.num_hidden_layers",
        )
        kinds = ("full_attention", "linear_attention")
        listed = [kinds[bool((index + 1) % interval)] for index in range(count or 0)]
    require(
        isinstance(listed, list | tuple)
        and len(listed) <= _MAX_LAYERS
        and all(isinstance(name, str) for name in listed),
        f"must list the names of at most {_MAX_LAYERS} mixers, found {listed!r:.80}",
        item=f"{section}.layer_types",
    )
    require(
        count is None or count == len(listed),
        f"{count!r} layers, but layer_types names {len(listed)}",
        item=f"{section}.num_hidden_layers",
    )
    for name in listed:
        _ = MIXERS[name]
    return tuple(listed)
