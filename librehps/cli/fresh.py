"""Makes what ``librehps init`` writes: a backbone with fresh heads, and its processor."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from librehps.data.hpdv3 import read_hpdv3
from librehps.device import choose_dtype
from librehps.errors import CheckpointError, ConfigError, InputError
from librehps.heads import HEADS, POOLINGS, Head
from librehps.hub import find_checkpoint
from librehps.inputs.byte_tokenizer import (
    NUM_BYTES,
    QWEN3_5_TOKEN_IDS,
    byte_level_tokenizer_json,
    learn_merges,
)
from librehps.inputs.processor import Processor
from librehps.inputs.prompt import DEFAULT_TEMPLATE, PromptTemplate
from librehps.inputs.resize import DEFAULT_BUDGET, PixelBudget
from librehps.inputs.tokens import PromptTokenizer
from librehps.model import PreferenceModel
from librehps.model_config import LibreHPSConfig, read_config
from librehps.modeling import PRESETS, Qwen3_5Backbone, Qwen3_5Config
from librehps.processing import make_processor


@dataclass(frozen=True)
class Fresh:
    """What the new checkpoint shall be like, whatever its weights come from.

    Args:
        head: Settings of the head, its registered name as ``kind``.
        pooling: What the head reads.
        dtype: Of the backbone's weights.
        seed: Of everything that is drawn.
        template: What surrounds the prompt and the image; what the source has if ``None``.
        min_pixels: Smaller images are enlarged to this area; what the source has if ``None``.
        max_pixels: Larger images are reduced to this area; what the source has if ``None``.
    """

    head: Mapping[str, Any]
    pooling: str
    dtype: torch.dtype
    seed: int
    template: PromptTemplate | None
    min_pixels: int | None
    max_pixels: int | None

    @classmethod
    def of(
        cls,
        *,
        head: str = "multi_axis",
        axes: Sequence[str] | None = None,
        hidden_sizes: Sequence[int] | None = None,
        pooling: str = "last",
        dtype: str = "bfloat16",
        seed: int = 0,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        template: Path | None = None,
    ) -> Fresh:
        """Check what was asked for, before anything is read or drawn.

        Raises:
            ConfigError: A name that means nothing, axes or widths for a head that chooses its own,
                or bounds that contradict each other.
        """
        chosen = {"axes": axes, "hidden_sizes": hidden_sizes}
        fresh = cls(
            head={"kind": head}
            | {name: list(given) for name, given in chosen.items() if given is not None},
            pooling=pooling,
            dtype=choose_dtype(dtype, torch.device("cpu")),
            seed=seed,
            template=None if template is None else read_template(template),
            min_pixels=min_pixels,
            max_pixels=max_pixels,
        )
        # A throw-away head and budget: their own checks say what is wrong with them.
        fresh.draw_head(hidden_size=1)
        if min_pixels is not None and max_pixels is not None:
            fresh.budget_of(None, side=DEFAULT_BUDGET.factor)
        _ = POOLINGS[pooling]
        if fresh.template is not None:
            fresh._check_mark(fresh.template)
        return fresh

    def from_preset(
        self, name: str, *, tokenizer: Path | None = None, words_of: Path | None = None
    ) -> tuple[PreferenceModel, Processor]:
        """Draw a model of a known size; its memory is that of its weights, once.

        Args:
            name: A name in ``PRESETS``.
            tokenizer: A ``tokenizer.json``; without one every byte is a token.
            words_of: File whose prompts the byte tokenizer learns to join into words: a list of
                HPDv3, or a prompt per line.

        Raises:
            ConfigError: No such preset (code ``preset_unknown``).
            CheckpointError: The tokenizer is damaged, or belongs to another model.
        """
        if name not in PRESETS:
            raise ConfigError(
                f"no preset is called {name!r}; known: {', '.join(PRESETS)}", code="preset_unknown"
            )
        config = PRESETS[name]
        if tokenizer is None:
            ids = token_ids(config)
            free = min(ids.values()) - NUM_BYTES
            merges = [] if words_of is None else learn_merges(read_prompts(words_of), count=free)
            words = PromptTokenizer.from_json(byte_level_tokenizer_json(ids, merges=merges))
        else:
            words = PromptTokenizer.from_file(tokenizer)
        processor = self._processor(config, words)
        generator = torch.Generator().manual_seed(self.seed)
        with torch.device("meta"):
            backbone = Qwen3_5Backbone(config)
        # Cast while there is nothing to cast: the weights are drawn in their final format.
        backbone = backbone.cast_(self.dtype).to_empty(device="cpu")
        backbone.reset_parameters(generator)
        heads = self._heads(config)
        return PreferenceModel(backbone, heads, pooling=self.pooling, trained=False), processor

    def from_weights(
        self, path_or_id: str, *, revision: str | None = None, local_files_only: bool = False
    ) -> tuple[PreferenceModel, Processor]:
        """Put a fresh head on the backbone of a Qwen3.5 checkpoint.

        A checkpoint that is a reward model already keeps its template, its budget and its limit,
        where no other was asked for.

        Raises:
            CheckpointError: The checkpoint is missing, damaged or not understood.
        """
        folder = find_checkpoint(path_or_id, revision=revision, local_files_only=local_files_only)
        config, described = read_config(folder)
        words = PromptTokenizer.from_file(folder / "tokenizer.json")
        processor = self._processor(config, words, described)
        loaded = PreferenceModel.from_pretrained(
            folder, dtype=self.dtype, heads=self._heads(config)
        )
        model = PreferenceModel(loaded.model, loaded.heads, pooling=self.pooling, trained=False)
        return model, processor

    def draw_head(self, *, hidden_size: int) -> Head:
        """Return a head of the kind that was asked for, its weights drawn from the seed.

        Raises:
            ConfigError: No such head or axis, or axes for a head that has its own.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return HEADS[self.head["kind"]].from_config(self.head, hidden_size=hidden_size)

    def budget_of(self, source: PixelBudget | None, *, side: int) -> PixelBudget:
        """Return the pixel budget that was asked for, with the source's where nothing was.

        Args:
            source: The source's; the default one if ``None``.
            side: Of the squares that an image is cut into, in pixels.

        Raises:
            ConfigError: Bounds that contradict each other.
        """
        known = source or DEFAULT_BUDGET
        return PixelBudget(
            min_pixels=known.min_pixels if self.min_pixels is None else self.min_pixels,
            max_pixels=known.max_pixels if self.max_pixels is None else self.max_pixels,
            factor=side,
        )

    def _check_mark(self, template: PromptTemplate) -> None:
        if self.pooling == "marked" and not template.has_mark:
            raise ConfigError(
                "the pooling 'marked' reads the token at {mark}, and the template has none",
                code="template_field_missing",
            )

    def _heads(self, config: Qwen3_5Config) -> dict[str, Head]:
        return {self.head["kind"]: self.draw_head(hidden_size=config.text.hidden_size)}

    def _processor(
        self,
        config: Qwen3_5Config,
        tokenizer: PromptTokenizer,
        source: LibreHPSConfig | None = None,
    ) -> Processor:
        known = source or LibreHPSConfig(heads={})
        template = self.template or known.prompt_template or DEFAULT_TEMPLATE
        self._check_mark(template)
        side = config.vision.patch_size * config.vision.spatial_merge_size
        return make_processor(
            config,
            tokenizer,
            template=template,
            budget=self.budget_of(known.pixel_budget, side=side),
            max_prompt_tokens=known.max_prompt_tokens,
        )


def check_target(folder: Path) -> None:
    """Refuse, before anything is drawn, a place where a checkpoint cannot be written.

    Raises:
        CheckpointError: It is a file or a folder that is not empty (code ``ckpt_would_overwrite``),
            or no folder can be made there (``ckpt_unwritable``).
    """
    parents = folder.absolute().parents
    above = next(parent for parent in parents if os.path.lexists(parent))
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise CheckpointError(
            f"no folder can be made here: {above} is not a folder that may be written to",
            code="ckpt_unwritable",
            item=str(folder),
        )
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise CheckpointError(
            "there is something here already; name a new folder, or empty this one first",
            code="ckpt_would_overwrite",
            item=str(folder),
        )


def read_prompts(path: Path) -> list[str]:
    """Return the prompts of a file: a list of HPDv3 where it ends in ``.json``, or its lines.

    Raises:
        InputError: The file cannot be read (code ``data_file``).
    """
    if path.suffix == ".json":
        return [comparison.prompt for comparison in read_hpdv3(path).comparisons]
    try:
        return path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", code="data_file", item=str(path)) from error


def read_template(path: Path) -> PromptTemplate:
    """Read a prompt template: JSON as in a checkpoint's config, or the text alone.

    Raises:
        ConfigError: There is no such text file (code ``template_missing``), or it is no template.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read as text: {error}", code="template_missing"
        ) from error
    if path.suffix != ".json":
        return PromptTemplate(text=text)
    try:
        mapping = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is not JSON: {error}", code="template_syntax") from error
    if not isinstance(mapping, dict):
        raise ConfigError(f"{path} must hold an object", code="template_syntax")
    return PromptTemplate.from_dict(mapping)


def token_ids(config: Qwen3_5Config) -> dict[str, int]:
    """Return the ids of Qwen's control tokens for a preset.

    The large presets share the published vocabulary. The small one has its own, in which the
    control tokens keep their order and their distances.
    """
    shift = config.image_token_id - QWEN3_5_TOKEN_IDS["<|image_pad|>"]
    return {token: token_id + shift for token, token_id in QWEN3_5_TOKEN_IDS.items()}
