"""From a picture and a prompt to one sequence that is ready to be packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from librehps.errors import ConfigError, InputError
from librehps.inputs.batch import Sample
from librehps.inputs.image import ImageLimits, ImageSource, load_image
from librehps.inputs.limits import DEFAULT_LIMITS
from librehps.inputs.patches import patchify
from librehps.inputs.positions import ImageRun, TextRun, rope_positions
from librehps.inputs.prompt import (
    DEFAULT_TEMPLATE,
    ImageSlot,
    LiteralText,
    MarkSlot,
    PromptTemplate,
    Segment,
    UserText,
    check_prompt,
)
from librehps.inputs.resize import DEFAULT_BUDGET, PixelBudget, resize, smart_resize
from librehps.inputs.tokens import PromptTokenizer


@dataclass(frozen=True, eq=False)
class Prepared:
    """One sequence, and what should be said about how it came about.

    Args:
        sample: The sequence.
        notes: Remarks such as ``"first of 12 frames"``.
    """

    sample: Sample
    notes: tuple[str, ...]


class Processor:
    """Prepares pictures and prompts for one model.

    The filled-in template is tokenised as one text between its special tokens, so that an ordinary
    prompt gives the ids that the whole text gives in a stock tokenizer.

    Args:
        tokenizer: The model's tokenizer.
        template: What surrounds the prompt and the image.
        budget: How large an image enters the model.
        limits: What an image may be at most.
        max_prompt_tokens: Limit on the prompt alone, without the template and the image.
        image_token: The token that stands for one merged patch of an image.
        patch_size: Side of a patch, in pixels.
        temporal_patch_size: Frames that a patch spans; a picture is repeated to fill them.
        merge_size: Patches per merged token along each side.

    Raises:
        ConfigError: The tokenizer lacks a special token that is needed (code ``token_unknown``),
            the template holds the image token itself (``template_image_token``), the budget's
            factor is not the side of a merged patch (``pixel_budget``), or ``max_prompt_tokens``
            is below 1 (``max_prompt_tokens``).
    """

    def __init__(
        self,
        tokenizer: PromptTokenizer,
        *,
        template: PromptTemplate = DEFAULT_TEMPLATE,
        budget: PixelBudget = DEFAULT_BUDGET,
        limits: ImageLimits = DEFAULT_LIMITS,
        max_prompt_tokens: int = 4096,
        image_token: str = "<|image_pad|>",
        patch_size: int = 16,
        temporal_patch_size: int = 2,
        merge_size: int = 2,
    ) -> None:
        if budget.factor != patch_size * merge_size:
            raise ConfigError(
                f"the pixel budget makes sides multiples of {budget.factor}, but patches of "
                f"{patch_size} merged {merge_size}x{merge_size} need multiples of "
                f"{patch_size * merge_size}",
                code="pixel_budget",
            )
        if max_prompt_tokens < 1:
            raise ConfigError(
                f"max_prompt_tokens is {max_prompt_tokens}; it must be at least 1",
                code="max_prompt_tokens",
            )
        self.tokenizer = tokenizer
        self.template = template
        self.budget = budget
        self.limits = limits
        self.max_prompt_tokens = max_prompt_tokens
        self.image_token_id = tokenizer.special_id(image_token)
        self._patch_size = patch_size
        self._temporal_patch_size = temporal_patch_size
        self._merge_size = merge_size
        # Filled in once here, so that a template that does not fit fails now and not per prompt.
        ids, _, _ = self._fill(template.segments(""), num_image_tokens=0)
        if self.image_token_id in ids:
            raise ConfigError(
                f"the template contains {image_token!r} itself; write {{image}}, which becomes as "
                "many as the image needs",
                code="template_image_token",
            )

    @property
    def num_tail_tokens(self) -> int:
        """How many tokens at the end are the template's own, whatever prompt and image are.

        Text straight behind the prompt does not count: the tokenizer may join it with the prompt.
        """
        slot, *rest = self.template.tail()
        ids, _, _ = self._fill(rest, num_image_tokens=0)
        if isinstance(slot, ImageSlot):
            return len(ids)
        joined = next((n for n, one in enumerate(ids) if self.tokenizer.is_special(one)), len(ids))
        return len(ids) - joined

    def prepare(self, image: ImageSource, prompt: str) -> Prepared:
        """Turn one picture and its prompt into a sequence.

        Args:
            image: Whatever ``load_image`` takes.
            prompt: The text that the picture was made from.

        Raises:
            InputError: The prompt (``check_prompt``, or code ``prompt_too_long`` for too many
                tokens) or the picture (``load_image``) cannot be scored.
        """
        self._check_length(check_prompt(prompt))
        decoded = load_image(image, limits=self.limits)
        height, width = smart_resize(*decoded.pixels.shape[:2], budget=self.budget)
        patches, grid_thw = patchify(
            resize(decoded.pixels, height=height, width=width),
            patch_size=self._patch_size,
            temporal_patch_size=self._temporal_patch_size,
            merge_size=self._merge_size,
        )
        run = ImageRun(height // self._patch_size, width // self._patch_size)
        num_image_tokens = run.num_tokens(merge_size=self._merge_size)
        ids, image_start, pooled = self._fill(
            self.template.segments(prompt), num_image_tokens=num_image_tokens
        )
        after = TextRun(len(ids) - image_start - num_image_tokens)
        sample = Sample(
            input_ids=torch.tensor(ids),
            positions=rope_positions(
                [TextRun(image_start), run, after], merge_size=self._merge_size
            ),
            patches=patches,
            grid_thw=grid_thw,
            pooled=pooled,
        )
        return Prepared(sample=sample, notes=decoded.notes)

    def to_dict(self) -> dict[str, object]:
        """Return what a checkpoint's config keeps: template, pixel budget and prompt limit."""
        return {
            "prompt_template": self.template.to_dict(),
            "pixel_budget": self.budget.to_dict(),
            "max_prompt_tokens": self.max_prompt_tokens,
        }

    def _check_length(self, prompt: str) -> None:
        num_tokens = len(self.tokenizer.encode_user(prompt))
        if num_tokens > self.max_prompt_tokens:
            raise InputError(
                f"the prompt has {num_tokens} tokens; this model takes at most "
                f"{self.max_prompt_tokens}, and nothing is cut off silently: shorten it",
                code="prompt_too_long",
            )

    def _fill(
        self, segments: Sequence[Segment], *, num_image_tokens: int
    ) -> tuple[list[int], int, int]:
        """Return the ids of the filled-in template, where the image starts, and what is pooled."""
        ids: list[int] = []
        text: list[str] = []
        image_start, pooled = 0, None

        def end_of_text() -> None:
            ids.extend(self.tokenizer.encode_user("".join(text)))
            text.clear()

        for segment in segments:
            match segment:
                case UserText(words):
                    text.append(words)
                case LiteralText(words):
                    for piece in self.tokenizer.cut_literal(words):
                        if isinstance(piece, str):
                            text.append(piece)
                        else:
                            end_of_text()
                            ids.append(piece)
                case ImageSlot():
                    end_of_text()
                    image_start = len(ids)
                    ids.extend([self.image_token_id] * num_image_tokens)
                case MarkSlot():
                    end_of_text()
                    pooled = len(ids)
                    ids.append(self.tokenizer.special_id(self.template.mark_token))
        end_of_text()
        return ids, image_start, len(ids) - 1 if pooled is None else pooled
