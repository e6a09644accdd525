"""Images and prompts on their way to the model: decode, resize, patchify, tokenise, pack."""

from __future__ import annotations

from librehps.inputs.batch import Batch, Sample
from librehps.inputs.image import DecodedImage, ImageLimits, ImageSource, load_image
from librehps.inputs.patches import patchify
from librehps.inputs.positions import ImageRun, TextRun, rope_positions
from librehps.inputs.processor import Prepared, Processor
from librehps.inputs.prompt import DEFAULT_TEMPLATE, PromptTemplate, check_prompt
from librehps.inputs.resize import PixelBudget, resize, smart_resize
from librehps.inputs.tokens import PromptTokenizer

__all__ = [
    "DecodedImage",
    "ImageLimits",
    "ImageSource",
    "load_image",
    "PixelBudget",
    "smart_resize",
    "resize",
    "patchify",
    "PromptTemplate",
    "DEFAULT_TEMPLATE",
    "check_prompt",
    "PromptTokenizer",
    "TextRun",
    "ImageRun",
    "rope_positions",
    "Sample",
    "Batch",
    "Processor",
    "Prepared",
]
