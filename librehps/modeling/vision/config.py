"""The shape of the vision tower: what ``vision_config`` in a Hugging Face ``config.json`` says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

from librehps.modeling.config_reading import (
    build,
    honour,
    honour_only,
    require,
    require_counts,
    require_measures,
    select,
)

_IMPLEMENTED_VISION: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("gelu_pytorch_tanh",),
    "deepstack_visual_indexes": ([], None),
    "rope_scaling": (None,),
}
# Far more than any tower has; a file that asks for more would be built for minutes.
_MAX_DEPTH = 1024


@dataclass(frozen=True, kw_only=True)
class Qwen3_5VisionConfig:
    """The vision tower.

    Args:
        depth: Number of blocks.
        hidden_size: Width of a patch's hidden state.
        intermediate_size: Width of the MLP.
        num_heads: Attention heads; their width must be a multiple of 4 for the 2-D rotation.
        out_hidden_size: Width of the merged rows, the text model's ``hidden_size``.
        in_channels: Colour channels.
        patch_size: Side of a patch in pixels.
        temporal_patch_size: Frames in a patch; a still picture is repeated.
        spatial_merge_size: Side of the square of patches that becomes one token.
        num_position_embeddings: Entries of the learned square position table.
        rope_theta: Base of the rotary frequencies.
        initializer_range: Standard deviation of randomly initialised matrices.

    Raises:
        ConfigError: A size that is not a positive integer, or sizes that do not fit together
            (code ``config_value``; ``item`` names the field).
    """

    depth: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    out_hidden_size: int
    in_channels: int = 3
    patch_size: int = 16
    temporal_patch_size: int = 2
    spatial_merge_size: int = 2
    num_position_embeddings: int = 2304
    rope_theta: float = 10_000.0
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        section = "vision_config"
        require_counts(self, section)
        require_measures(self, section, but=("initializer_range",))
        require(
            self.depth <= _MAX_DEPTH,
            f"at most {_MAX_DEPTH} blocks are built, found {self.depth}",
            item=f"{section}.depth",
        )
        require(
            self.hidden_size % (4 * self.num_heads) == 0,
            f"{self.hidden_size} / {self.num_heads} heads is not a multiple of 4",
            item=f"{section}.hidden_size",
        )
        require(
            isqrt(self.num_position_embeddings) ** 2 == self.num_position_embeddings,
            f"must be a square number, found {self.num_position_embeddings}",
            item=f"{section}.num_position_embeddings",
        )

    @property
    def head_dim(self) -> int:
        """Width of an attention head."""
        return self.hidden_size // self.num_heads

    @property
    def patch_dim(self) -> int:
        """Numbers in a flattened patch: channels x frames x rows x columns."""
        return self.in_channels * self.temporal_patch_size * self.patch_size**2

    @property
    def position_grid_side(self) -> int:
        """Side of the learned square position table."""
        return isqrt(self.num_position_embeddings)

    @classmethod
    def from_hf(cls, mapping: Mapping[str, Any]) -> Qwen3_5VisionConfig:
        """Read the ``vision_config`` part of a Hugging Face config.

        Raises:
            ConfigError: See ``Qwen3_5Config.from_hf``.
        """
        section = "vision_config"
        honour(mapping, section, _IMPLEMENTED_VISION)
        values = select(cls, mapping)
        rope = mapping.get("rope_parameters")
        if rope is not None:
            place = f"{section}.rope_parameters"
            require(isinstance(rope, Mapping), f"must be a mapping, found {rope!r:.80}", item=place)
            honour(rope, place, {"rope_type": ("axial", "default")})
            honour_only(rope, place, ("rope_type", "rope_theta"))
            values |= select(cls, rope)
        for name in ("patch_size", "temporal_patch_size"):
            if isinstance(values.get(name), (list, tuple)):
                sides = list(values[name])
                require(
                    sides != [] and all(side == sides[0] for side in sides),
                    f"must be square, found {sides}",
                    item=f"{section}.{name}",
                )
                values[name] = sides[0]
        return build(cls, values, section)

    def to_hf(self) -> dict[str, Any]:
        """Return the ``vision_config`` part of a Hugging Face config, ready for JSON."""
        values = dataclasses.asdict(self)
        rope = {"rope_type": "axial", "rope_theta": values.pop("rope_theta")}
        return values | {
            "model_type": "qwen3_5_vision",
            "hidden_act": "gelu_pytorch_tanh",
            "deepstack_visual_indexes": [],
            "rope_parameters": rope,
        }

    def num_params(self) -> int:
        """Count the parameters."""
        width, merged = self.hidden_size, self.hidden_size * self.spatial_merge_size**2
        patch_embed = width * self.patch_dim + width
        norms = 4 * width
        attention = 4 * (width * width + width)
        mlp = 2 * width * self.intermediate_size + self.intermediate_size + width
        merger = 2 * width + merged * merged + merged
        merger += self.out_hidden_size * merged + self.out_hidden_size
        positions = self.num_position_embeddings * width
        return patch_embed + positions + self.depth * (norms + attention + mlp) + merger
