"""Images and their prompts, one to one, each with the name that errors call it by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from librehps.errors import InputError
from librehps.inputs.image import ImageSource
from librehps.typing import Tensor

__all__ = ["ImageSources", "Pair", "Prompt", "Prompts", "as_list", "pair"]

if TYPE_CHECKING:
    ImageSources = Sequence[ImageSource] | np.ndarray | Tensor
    Prompt = str
    Prompts = str | Sequence[str] | np.ndarray
else:
    # What is wrong with any other type is said here, also where annotations are checked.
    ImageSources = Prompt = Prompts = object

# Sequences to Python, but of characters or numbers.
_SINGLE = (str, bytes, bytearray, memoryview)


@dataclass(frozen=True)
class Pair:
    """One image with its prompt.

    Args:
        image: Anything that `load_image` reads.
        prompt: What the image should show.
        image_name: What errors call the image, such as ``"images[3]"``.
        prompt_name: What errors call the prompt, such as ``"prompts[3]"``.
    """

    image: ImageSource
    prompt: Prompt
    image_name: str
    prompt_name: str

    def name(self, error: InputError) -> InputError:
        """Return ``error`` with the name of the one of the two that is at fault."""
        of_prompt = error.code.startswith("prompt_") or error.code == "special_token_forged"
        error.at(self.prompt_name if of_prompt else self.image_name)
        return error


def as_list(images: object) -> list[ImageSource]:
    """Return the images of a list, or of a tensor or array that has one dimension more than one.

    Raises:
        InputError: It is a single image, or nothing of the kind (code ``images_type``).
    """
    if isinstance(images, Tensor | np.ndarray):
        if images.ndim == 4:
            return list(images)
    elif isinstance(images, Sequence) and not isinstance(images, _SINGLE):
        return list(images)
    raise InputError(
        "images must be a list, a tensor [N, C, H, W] or an array [N, H, W, C], but this is "
        f"{_described(images)}; for one image there is score_image(image=..., prompt=...)",
        code="images_type",
        item="images",
    )


def pair(images: object, prompts: object) -> list[Pair]:
    """Put each image together with its prompt; one text goes with every image.

    Raises:
        InputError: Not lists (codes ``images_type``, ``prompts_type``), or not of the same length
            (code ``length_mismatch``).
    """
    sources = as_list(images)
    if isinstance(prompts, str):
        return [
            Pair(image, prompts, f"images[{index}]", "prompts")
            for index, image in enumerate(sources)
        ]
    # What numpy makes of one text has no length.
    bare = isinstance(prompts, np.ndarray) and prompts.ndim == 0
    if bare or isinstance(prompts, _SINGLE) or not isinstance(prompts, Sequence | np.ndarray):
        raise InputError(
            f"prompts must be a text or a list of texts, but this is {_described(prompts)}",
            code="prompts_type",
            item="prompts",
        )
    if len(prompts) != len(sources):
        raise InputError(
            f"there are {len(prompts)} for {len(sources)} images; give one text for all of them, "
            "or a list with one for each",
            code="length_mismatch",
            item="prompts",
        )
    return [
        Pair(image, prompt, f"images[{index}]", f"prompts[{index}]")
        for index, (image, prompt) in enumerate(zip(sources, prompts, strict=True))
    ]


def _described(value: object) -> str:
    kind = type(value).__name__
    if isinstance(value, Tensor | np.ndarray):
        return f"a {kind} of shape {tuple(value.shape)}"
    return f"of type {kind}"
