"""The processor that belongs to a checkpoint folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from librehps.errors import CheckpointError, ConfigError
from librehps.inputs.processor import Processor
from librehps.inputs.prompt import DEFAULT_TEMPLATE, PromptTemplate
from librehps.inputs.resize import DEFAULT_BUDGET, PixelBudget
from librehps.inputs.tokens import PromptTokenizer
from librehps.model_config import LibreHPSConfig
from librehps.modeling.checkpoint import inside, read_json
from librehps.modeling.config import Qwen3_5Config

__all__ = ["load_processor", "make_processor"]

PREPROCESSOR = "preprocessor_config.json"


def load_processor(folder: Path) -> Processor:
    """Build the processor that a folder's ``config.json`` and ``tokenizer.json`` describe.

    A folder whose config has no ``"librehps"`` key gets the default template, and the pixel budget
    of its ``preprocessor_config.json`` if there is one, else the default budget.

    Raises:
        CheckpointError: A file is missing or damaged, or the two do not fit (see
            :func:`make_processor`); or ``preprocessor_config.json`` bounds the area in a way that
            means nothing here (code ``ckpt_config``).
    """
    hf_config = read_json(folder, "config.json")
    tokenizer = PromptTokenizer.from_file(inside(folder, "tokenizer.json"))
    config = Qwen3_5Config.from_hf(hf_config)
    if "librehps" not in hf_config:
        return make_processor(config, tokenizer, budget=_preprocessor_budget(folder))
    described = LibreHPSConfig.from_dict(hf_config["librehps"])
    return make_processor(
        config,
        tokenizer,
        template=described.prompt_template or DEFAULT_TEMPLATE,
        budget=described.pixel_budget or DEFAULT_BUDGET,
        max_prompt_tokens=described.max_prompt_tokens,
    )


def make_processor(
    config: Qwen3_5Config,
    tokenizer: PromptTokenizer,
    *,
    template: PromptTemplate = DEFAULT_TEMPLATE,
    budget: PixelBudget = DEFAULT_BUDGET,
    max_prompt_tokens: int = 4096,
) -> Processor:
    """Build a processor for a backbone.

    Args:
        config: The backbone, for its patches and the id of its image token.
        tokenizer: The tokenizer.
        template: What surrounds the prompt and the image.
        budget: How large an image enters the model.
        max_prompt_tokens: Limit on the prompt alone.

    Raises:
        CheckpointError: The tokenizer was made for another model: it gives ids that the embedding
            does not have, or another image token (code ``tokenizer_mismatch``).
        ConfigError: See `Processor`.
    """
    if tokenizer.vocab_size > config.text.vocab_size:
        raise CheckpointError(
            f"the tokenizer has {tokenizer.vocab_size} ids, but the model embeds "
            f"{config.text.vocab_size}: it belongs to another model",
            code="tokenizer_mismatch",
            item="tokenizer.json",
        )
    processor = Processor(
        tokenizer,
        template=template,
        budget=budget,
        max_prompt_tokens=max_prompt_tokens,
        patch_size=config.vision.patch_size,
        temporal_patch_size=config.vision.temporal_patch_size,
        merge_size=config.vision.spatial_merge_size,
    )
    if processor.image_token_id != config.image_token_id:
        raise CheckpointError(
            f"the tokenizer's image token has the id {processor.image_token_id}, but config.json "
            f"says {config.image_token_id}: it belongs to another model",
            code="tokenizer_mismatch",
            item="tokenizer.json",
        )
    return processor


def _preprocessor_budget(folder: Path) -> PixelBudget:
    """Return the budget that transformers' image processor would keep to."""
    if not (folder / PREPROCESSOR).exists():
        return DEFAULT_BUDGET
    settings = read_json(folder, PREPROCESSOR)
    size: Any = settings.get("size")
    sizes: dict[str, Any] = size if isinstance(size, dict) else {}
    try:
        # Areas in pixels, whatever the names say; older files have them at the top.
        return PixelBudget(
            min_pixels=sizes.get("shortest_edge", settings.get("min_pixels", "nothing")),
            max_pixels=sizes.get("longest_edge", settings.get("max_pixels", "nothing")),
            factor=settings.get("patch_size", 16) * settings.get("merge_size", 2),
        )
    except (ConfigError, TypeError) as error:
        raise CheckpointError(
            f"says nothing usable of the size of images: {error}",
            code="ckpt_config",
            item=str(folder / PREPROCESSOR),
        ) from error
