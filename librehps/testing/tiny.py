"""Tiny checkpoints, made in a fraction of a second and the same everywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import nn

from librehps.errors import ConfigError
from librehps.heads import Head, MultiAxisHead, ScalarHead
from librehps.inputs.processor import Processor
from librehps.inputs.prompt import DEFAULT_TEMPLATE, PromptTemplate
from librehps.inputs.resize import PixelBudget
from librehps.inputs.tokens import PromptTokenizer
from librehps.model import PreferenceModel
from librehps.modeling.backbone import Qwen3_5Backbone
from librehps.modeling.checkpoint_writer import write_checkpoint
from librehps.modeling.config import Qwen3_5Config, Qwen3_5TextConfig, Qwen3_5VisionConfig
from librehps.modeling.mamba2_config import Mamba2Config
from librehps.testing.tokenizer import TINY_TOKEN_IDS, TINY_VOCAB_SIZE, tiny_tokenizer_json
from librehps.typing import Tensor

__all__ = [
    "TINY_BUDGET",
    "make_tiny_checkpoint",
    "make_tiny_hf_checkpoint",
    "tiny_config",
    "tiny_heads",
    "tiny_model",
    "tiny_processor",
]

#: A small budget: the smallest image is 16 tokens, the largest 64.
TINY_BUDGET = PixelBudget(min_pixels=128 * 128, max_pixels=256 * 256)

_SHARD_BYTES = 100_000
_TINY_MAMBA2 = Mamba2Config(num_heads=6, head_dim=16, state_size=12, n_groups=2)


def tiny_config(
    *,
    layer_types: Sequence[str] = (
        "linear_attention",
        "linear_attention",
        "full_attention",
        "linear_attention",
    ),
    tied: bool = True,
) -> Qwen3_5Config:
    """Return a hybrid of about 200,000 parameters, whose token ids are the tiny tokenizer's.

    Args:
        layer_types: Names in ``MIXERS``; settings for Mamba-2 are there if it is among them.
        tied: Whether the language model is said to have no output matrix of its own.
    """
    text = Qwen3_5TextConfig(
        vocab_size=TINY_VOCAB_SIZE,
        hidden_size=48,
        intermediate_size=80,
        layer_types=tuple(layer_types),
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=16,
        linear_value_head_dim=24,
        mamba2=_TINY_MAMBA2 if "mamba2" in layer_types else None,
        rope_theta=10_000.0,
        partial_rotary_factor=0.5,
        mrope_section=(3, 3, 2),
        max_position_embeddings=8192,
        eos_token_id=TINY_TOKEN_IDS["<|endoftext|>"],
    )
    return Qwen3_5Config(
        text=text,
        vision=Qwen3_5VisionConfig(
            depth=2,
            hidden_size=32,
            intermediate_size=56,
            num_heads=2,
            out_hidden_size=text.hidden_size,
            num_position_embeddings=36,
        ),
        image_token_id=TINY_TOKEN_IDS["<|image_pad|>"],
        video_token_id=TINY_TOKEN_IDS["<|video_pad|>"],
        vision_start_token_id=TINY_TOKEN_IDS["<|vision_start|>"],
        vision_end_token_id=TINY_TOKEN_IDS["<|vision_end|>"],
        tie_word_embeddings=tied,
    )


def tiny_heads(
    names: Sequence[str] = ("multi_axis", "scalar"), *, hidden_size: int
) -> dict[str, Head]:
    """Return heads of the kinds that come with the library.

    Raises:
        ConfigError: Another name (code ``name_unknown``).
    """
    makers: Mapping[str, type[MultiAxisHead] | type[ScalarHead]] = {
        "multi_axis": MultiAxisHead,
        "scalar": ScalarHead,
    }
    unknown = [name for name in names if name not in makers]
    if unknown:
        raise ConfigError(f"no tiny head is called {unknown[0]!r}", code="name_unknown")
    return {name: makers[name](hidden_size=hidden_size) for name in names}


def tiny_processor(
    *, template: PromptTemplate = DEFAULT_TEMPLATE, budget: PixelBudget = TINY_BUDGET
) -> Processor:
    """Return a processor with the tiny tokenizer and a small pixel budget."""
    tokenizer = PromptTokenizer.from_json(tiny_tokenizer_json())
    return Processor(tokenizer, template=template, budget=budget)


def tiny_model(
    *,
    seed: int = 0,
    heads: Mapping[str, Head] | None = None,
    config: Qwen3_5Config | None = None,
    dtype: torch.dtype = torch.float32,
    pooling: str = "last",
    trained: bool = True,
) -> PreferenceModel:
    """Return a model with random weights, every one of which has an influence on the scores.

    Args:
        seed: The same seed gives the same weights.
        heads: Heads by name; by default a multi-axis and a scalar one. Drawn anew.
        config: Of the backbone; by default `tiny_config`.
        dtype: Of the backbone's weights.
        pooling: A name in ``POOLINGS``.
        trained: What the model says of itself.
    """
    config = config or tiny_config()
    heads = heads or tiny_heads(hidden_size=config.text.hidden_size)
    backbone = Qwen3_5Backbone(config)
    generator = torch.Generator().manual_seed(seed)
    backbone.reset_parameters(generator)
    model = PreferenceModel(backbone, heads, pooling=pooling, trained=trained)
    with torch.no_grad():
        for head in model.heads.values():
            # Heads of any kind come with weights from torch's global generator.
            for parameter in cast("nn.Module", head).parameters():
                parameter.zero_()
        for name, parameter in model.named_parameters():
            # Norms start as the identity and biases at zero, where a mix-up would not show.
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(noise, alpha=0.2 if parameter.ndim > 1 else 0.1)
            if name.endswith("A_log"):
                parameter.clamp_(-2.0, 2.0)
    backbone.cast_(dtype)
    return model.eval()


def make_tiny_checkpoint(
    folder: Path,
    *,
    seed: int = 0,
    sharded: bool = False,
    dtype: torch.dtype = torch.float32,
    heads: Sequence[str] = ("multi_axis", "scalar"),
    config: Qwen3_5Config | None = None,
    pooling: str = "last",
    trained: bool = True,
    processor: Processor | None = None,
) -> PreferenceModel:
    """Write a tiny reward checkpoint and return the model that is in it.

    Args:
        folder: A new or empty folder, or a tiny checkpoint to replace.
        seed: The same seed gives the same files.
        sharded: Whether to write several weight files with an index.
        dtype: Of the backbone's weights.
        heads: Names of the heads, from ``multi_axis`` and ``scalar``.
        config: Of the backbone; by default `tiny_config`.
        pooling: A name in ``POOLINGS``.
        trained: What the checkpoint says of itself.
        processor: By default `tiny_processor`.
    """
    config = config or tiny_config()
    model = tiny_model(
        seed=seed,
        heads=tiny_heads(heads, hidden_size=config.text.hidden_size),
        config=config,
        dtype=dtype,
        pooling=pooling,
        trained=trained,
    )
    model.save_pretrained(
        folder,
        processor=processor or tiny_processor(),
        max_shard_bytes=_SHARD_BYTES if sharded else 5_000_000_000,
    )
    return model


def make_tiny_hf_checkpoint(
    folder: Path,
    *,
    seed: int = 0,
    sharded: bool = False,
    dtype: torch.dtype = torch.float32,
    config: Qwen3_5Config | None = None,
    with_mtp: bool = True,
) -> nn.Module:
    """Write a tiny Qwen3.5 folder as Hugging Face has them, and return the backbone that is in it.

    There are no heads and no ``"librehps"`` key. An untied config gets an ``lm_head.weight``.

    Args:
        folder: A new or empty folder, or a tiny checkpoint to replace.
        seed: The same seed gives the same files.
        sharded: Whether to write several weight files with an index.
        dtype: Of the weights, but for those that Qwen's files keep in float32.
        config: Of the backbone; by default `tiny_config`.
        with_mtp: Whether to add tensors of a multi-token predictor, which readers skip.
    """
    config = config or tiny_config()
    backbone = tiny_model(seed=seed, config=config, dtype=dtype).model
    tensors: dict[str, Tensor] = {
        f"model.{name}": tensor for name, tensor in backbone.state_dict().items()
    }
    width = config.text.hidden_size
    if with_mtp:
        tensors["mtp.fc.weight"] = torch.zeros(width, 2 * width, dtype=dtype)
        tensors["mtp.norm.weight"] = torch.zeros(width, dtype=dtype)
    if not config.tie_word_embeddings:
        tensors["lm_head.weight"] = torch.zeros(config.text.vocab_size, width, dtype=dtype)
    write_checkpoint(
        folder,
        tensors,
        config=config.to_hf(),
        extra_files={
            "tokenizer.json": tiny_tokenizer_json(),
            "generation_config.json": json.dumps({"eos_token_id": config.text.eos_token_id}),
        },
        max_shard_bytes=_SHARD_BYTES if sharded else 5_000_000_000,
    )
    return backbone
