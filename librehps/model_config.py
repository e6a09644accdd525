"""The key ``"librehps"`` of a checkpoint's ``config.json``, and the files beside the weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from librehps.errors import CheckpointError, ConfigError
from librehps.heads import AXES, HEADS, POOLINGS, Head
from librehps.inputs.prompt import PromptTemplate
from librehps.inputs.resize import DEFAULT_BUDGET, PixelBudget
from librehps.modeling.checkpoint import read_json
from librehps.modeling.config import Qwen3_5Config
from librehps.registry import nearest

__all__ = [
    "FORMAT_VERSION",
    "LibreHPSConfig",
    "build_heads",
    "config_json",
    "folder_files",
    "read_config",
]

FORMAT_VERSION = 1

_PLACE = "config.json, key 'librehps'"
_TYPES: dict[str, type] = {
    "format_version": int,
    "axes": list,
    "heads": dict,
    "pooling": str,
    "prompt_template": dict,
    "pixel_budget": dict,
    "max_prompt_tokens": int,
    "trained": bool,
}


@dataclass(frozen=True)
class LibreHPSConfig:
    """How a backbone becomes a reward model.

    Args:
        heads: Settings of each head by its name; its tensors are under ``<name>_head.``.
        axes: What the heads score between them, in the order of ``AXES``.
        pooling: A name in ``POOLINGS``.
        prompt_template: How a prompt and an image become text; None leaves it to the default.
        pixel_budget: The area to which images are resized; None leaves it to the default.
        max_prompt_tokens: Longer prompts are refused.
        trained: False when the heads' weights are random: the scores then mean nothing.
        format_version: Of this key; readers refuse a newer one.
    """

    heads: Mapping[str, Mapping[str, Any]]
    axes: tuple[str, ...] = field(default=())
    pooling: str = "last"
    prompt_template: PromptTemplate | None = None
    pixel_budget: PixelBudget | None = None
    max_prompt_tokens: int = 4096
    trained: bool = True
    format_version: int = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data that `from_dict` reads."""
        data: dict[str, Any] = {
            "format_version": self.format_version,
            "axes": list(self.axes),
            "heads": {name: dict(settings) for name, settings in self.heads.items()},
            "pooling": self.pooling,
            "max_prompt_tokens": self.max_prompt_tokens,
            "trained": self.trained,
        }
        if self.prompt_template is not None:
            data["prompt_template"] = self.prompt_template.to_dict()
        if self.pixel_budget is not None:
            data["pixel_budget"] = self.pixel_budget.to_dict()
        return data

    @classmethod
    def from_dict(cls, data: object) -> LibreHPSConfig:
        """Read the key, strictly.

        Raises:
            CheckpointError: An unknown key (names the nearest known one), a missing or mistyped
                value, an unknown axis or pooling, a newer format (code ``ckpt_config``); or there
                are no heads (``heads_missing``).
        """
        values = _typed(data)
        version = values.get("format_version")
        if version is None or not 1 <= version <= FORMAT_VERSION:
            raise _wrong(
                f"format_version is {version!r}; this librehps reads 1 to {FORMAT_VERSION}"
            )
        heads = values.get("heads")
        if not heads:
            raise CheckpointError("names no heads", code="heads_missing", item=_PLACE)
        for name, settings in heads.items():
            if not isinstance(settings, dict):
                raise _wrong(f"the settings of head {name!r} must be an object, not {settings!r}")
        for axis in values.get("axes", []):
            if axis not in AXES:
                raise _wrong(f"unknown axis {axis!r}{nearest(str(axis), AXES)}")
        pooling = values.get("pooling", "last")
        if pooling not in POOLINGS:
            raise _wrong(f"unknown pooling {pooling!r}{nearest(pooling, POOLINGS)}")
        if values.get("max_prompt_tokens", 1) < 1:
            raise _wrong(f"max_prompt_tokens is {values['max_prompt_tokens']}; at least 1")
        template, budget = values.get("prompt_template"), values.get("pixel_budget")
        try:
            known: dict[str, Any] = values | {
                "axes": tuple(values.get("axes", ())),
                "prompt_template": None if template is None else PromptTemplate.from_dict(template),
                "pixel_budget": None if budget is None else PixelBudget.from_dict(budget),
            }
        except ConfigError as error:
            raise _wrong(str(error)) from error
        config = cls(**known)
        words = config.prompt_template
        if config.pooling == "marked" and words is not None and not words.has_mark:
            raise _wrong("the pooling 'marked' reads the token at {mark}; prompt_template has none")
        return config


def build_heads(config: LibreHPSConfig, *, hidden_size: int) -> dict[str, Head]:
    """Build the heads that a config describes, untrained.

    Raises:
        CheckpointError: A head of an unknown kind, a setting it does not have, an unknown axis, or
            heads whose axes are not those that the config lists (code ``ckpt_config``).
    """
    heads: dict[str, Head] = {}
    for name, settings in config.heads.items():
        try:
            kind = settings.get("kind", name)
            heads[name] = HEADS[str(kind)].from_config(settings, hidden_size=hidden_size)
        except ConfigError as error:
            raise _wrong(f"head {name!r}: {error}") from error
    scored = {axis for head in heads.values() for axis in head.axes}
    if config.axes and set(config.axes) != scored:
        raise _wrong(f"lists the axes {sorted(config.axes)}, but its heads score {sorted(scored)}")
    return heads


def read_config(folder: Path) -> tuple[Qwen3_5Config, LibreHPSConfig | None]:
    """Read a folder's ``config.json``: the backbone's part, and the key ``"librehps"`` or None.

    Raises:
        CheckpointError: The file is missing (code ``ckpt_missing``), or damaged, not of a Qwen3.5,
            or says what this library cannot honour (``ckpt_config``).
    """
    data = read_json(folder, "config.json")
    try:
        backbone = Qwen3_5Config.from_hf(data)
    except ConfigError as error:
        raise CheckpointError(
            str(error), code="ckpt_config", item=str(folder / "config.json")
        ) from error
    return backbone, LibreHPSConfig.from_dict(data["librehps"]) if "librehps" in data else None


def config_json(backbone: Qwen3_5Config, config: LibreHPSConfig) -> dict[str, Any]:
    """Return the content of ``config.json``: the backbone's, plus the key ``"librehps"``.

    No output matrix is stored, so the file says that it is tied to the embedding: transformers then
    loads the folder without a missing key, whatever the original model had.
    """
    data = backbone.to_hf()
    data["text_config"] = dict(data["text_config"]) | {"tie_word_embeddings": True}
    return data | {"tie_word_embeddings": True, "librehps": config.to_dict()}


def folder_files(
    config: LibreHPSConfig, *, tokenizer_json: str, num_params: int, max_length: int
) -> dict[str, str]:
    """Return the text of the files that stand beside weights and ``config.json``, by name.

    Args:
        config: Its pixel budget goes into the file that transformers' image processor reads.
        tokenizer_json: Content of ``tokenizer.json``.
        num_params: Of the backbone, for the model card.
        max_length: In tokens, for transformers' tokenizer.
    """
    tokenizer_config: dict[str, Any] = {
        "tokenizer_class": "Qwen2Tokenizer",
        "model_max_length": max_length,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
    }
    return {
        "tokenizer.json": tokenizer_json,
        "tokenizer_config.json": _json(tokenizer_config),
        "preprocessor_config.json": _json(_preprocessor(config.pixel_budget or DEFAULT_BUDGET)),
        "README.md": _card(config, num_params=num_params),
    }


def _preprocessor(budget: PixelBudget) -> dict[str, Any]:
    """Return the settings with which transformers' image processor computes what ours does."""
    return {
        "processor_class": "Qwen3VLProcessor",
        "image_processor_type": "Qwen2VLImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "patch_size": budget.factor // 2,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "size": {"shortest_edge": budget.min_pixels, "longest_edge": budget.max_pixels},
    }


def _card(config: LibreHPSConfig, *, num_params: int) -> str:
    state = (
        "Trained; see whoever gave it to you for the data and the results."
        if config.trained
        else "**Untrained**: the heads' weights are random, so every score is noise."
    )
    axes = ", ".join(config.axes)
    heads = "\n".join(f"- `{name}`: `{dict(value)}`" for name, value in config.heads.items())
    return f"""---
library_name: librehps
pipeline_tag: image-text-to-text
---

# A librehps reward model

Scores a generated image against its prompt on these axes: {axes}.
{state}

```python
from librehps import LibreHPS

scorer = LibreHPS.from_pretrained("path/to/this/folder")
print(scorer.score_image(image="picture.png", prompt="what it should show"))
```

Backbone: Qwen3.5 layout, {num_params:,} parameters, under Hugging Face's tensor names, so that
transformers loads this folder too. There is no output matrix: a reward model predicts no tokens.
`tie_word_embeddings` is true for that reason, whatever the original says, and text generated from
this folder means nothing.

Heads, pooled by `{config.pooling}`:

{heads}
"""


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2) + "\n"


def _typed(data: object) -> dict[str, Any]:
    """Return the key's content after checking the names and types of its values."""
    if not isinstance(data, dict):
        raise _wrong(f"must be an object, not {type(data).__name__}")
    values = cast("dict[str, Any]", data)
    for key, value in values.items():
        if key not in _TYPES:
            raise _wrong(f"unknown key {key!r}{nearest(key, _TYPES)}")
        # type() and not isinstance(): true is no number here.
        if type(value) is not _TYPES[key]:
            raise _wrong(f"{key!r} must be {_TYPES[key].__name__}, not {value!r}")
    return values


def _wrong(message: str) -> CheckpointError:
    return CheckpointError(message, code="ckpt_config", item=_PLACE)
