"""The published sizes of the dense Qwen3.5 family, and the small one that this project trains."""

from __future__ import annotations

from typing import Any

from librehps.modeling.config import Qwen3_5Config, Qwen3_5TextConfig, Qwen3_5VisionConfig


def _every_fourth_full(num_layers: int) -> tuple[str, ...]:
    linear, full = "linear_attention", "full_attention"
    return tuple(full if index % 4 == 3 else linear for index in range(num_layers))


def _published(
    *,
    hidden_size: int,
    intermediate_size: int,
    num_layers: int,
    heads: tuple[int, int],
    value_heads: int,
    vision: tuple[int, int, int, int],
    tied: bool,
) -> Qwen3_5Config:
    """Fill in what all published sizes share.

    Args:
        hidden_size: Width of the text model.
        intermediate_size: Width of its MLP.
        num_layers: Layers, every fourth with full attention.
        heads: Query heads and key/value heads of full attention.
        value_heads: Value heads of Gated DeltaNet.
        vision: Depth, width, MLP width and heads of the vision tower.
        tied: Whether the published language model reuses its embedding as output matrix.
    """
    depth, vision_width, vision_mlp, vision_heads = vision
    return Qwen3_5Config(
        text=Qwen3_5TextConfig(
            vocab_size=248_320,
            hidden_size=hidden_size,
            intermediate_size=intermediate_size,
            layer_types=_every_fourth_full(num_layers),
            num_attention_heads=heads[0],
            num_key_value_heads=heads[1],
            head_dim=256,
            linear_num_key_heads=16,
            linear_num_value_heads=value_heads,
            linear_key_head_dim=128,
            linear_value_head_dim=128,
            mtp_num_hidden_layers=1,
            eos_token_id=248_044,
        ),
        vision=Qwen3_5VisionConfig(
            depth=depth,
            hidden_size=vision_width,
            intermediate_size=vision_mlp,
            num_heads=vision_heads,
            out_hidden_size=hidden_size,
        ),
        tie_word_embeddings=tied,
    )


def _nano() -> Qwen3_5Config:
    """A hybrid of about 1.5 million parameters over a vocabulary of its own.

    The special ids keep the order and the distances that they have in the large vocabulary.
    """
    text: dict[str, Any] = {
        "vocab_size": 512,
        "hidden_size": 128,
        "intermediate_size": 320,
        "layer_types": ("linear_attention", *("full_attention",) * 3),
    }
    return Qwen3_5Config(
        text=Qwen3_5TextConfig(
            **text,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            linear_num_key_heads=4,
            linear_num_value_heads=4,
            linear_key_head_dim=32,
            linear_value_head_dim=32,
            # Of eight frequencies two are for columns and three for rows, and an image is a grid
            # of four by four: with the usual base all of it lies within a third of a radian, and
            # which of two things is left of the other is not learned.
            rope_theta=10.0,
            partial_rotary_factor=0.5,
            mrope_section=(3, 3, 2),
            max_position_embeddings=4096,
            eos_token_id=480,
            initializer_range=0.05,
        ),
        vision=Qwen3_5VisionConfig(
            depth=3,
            hidden_size=96,
            intermediate_size=384,
            num_heads=3,
            out_hidden_size=128,
            num_position_embeddings=16 * 16,
            initializer_range=0.05,
        ),
        image_token_id=492,
        video_token_id=493,
        vision_start_token_id=489,
        vision_end_token_id=490,
        tie_word_embeddings=True,
    )


_SMALL_TOWER = (12, 768, 3072, 12)
_MIDDLE_TOWER = (24, 1024, 4096, 16)
_LARGE_TOWER = (27, 1152, 4304, 16)

PRESETS: dict[str, Qwen3_5Config] = {
    "nano": _nano(),
    "0.8b": _published(
        hidden_size=1024,
        intermediate_size=3584,
        num_layers=24,
        heads=(8, 2),
        value_heads=16,
        vision=_SMALL_TOWER,
        tied=True,
    ),
    "2b": _published(
        hidden_size=2048,
        intermediate_size=6144,
        num_layers=24,
        heads=(8, 2),
        value_heads=16,
        vision=_MIDDLE_TOWER,
        tied=True,
    ),
    "4b": _published(
        hidden_size=2560,
        intermediate_size=9216,
        num_layers=32,
        heads=(16, 4),
        value_heads=32,
        vision=_MIDDLE_TOWER,
        tied=True,
    ),
    "9b": _published(
        hidden_size=4096,
        intermediate_size=12_288,
        num_layers=32,
        heads=(16, 4),
        value_heads=32,
        vision=_LARGE_TOWER,
        tied=False,
    ),
    "27b": _published(
        hidden_size=5120,
        intermediate_size=17_408,
        num_layers=64,
        heads=(24, 4),
        value_heads=48,
        vision=_LARGE_TOWER,
        tied=False,
    ),
}
"""Configurations by the names that ``librehps init --preset`` takes."""
