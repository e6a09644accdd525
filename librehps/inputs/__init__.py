"""Images and prompts on their way to the model: decode, resize, patchify, tokenise, pack."""

from __future__ import annotations

from librehps.inputs.image import DecodedImage, ImageLimits, ImageSource, load_image
from librehps.inputs.patches import patchify
from librehps.inputs.resize import PixelBudget, resize, smart_resize

__all__ = [
    "DecodedImage",
    "ImageLimits",
    "ImageSource",
    "load_image",
    "PixelBudget",
    "smart_resize",
    "resize",
    "patchify",
]
