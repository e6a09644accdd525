"""The pixel budget: how large a picture enters the vision tower.

The vision tower sees whole blocks of ``factor`` x ``factor`` pixels (a patch of 16, merged 2 x 2),
so both sides become multiples of ``factor``, and their product is brought between two areas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt
from PIL import Image

from librehps.errors import ConfigError, InputError

__all__ = ["DEFAULT_BUDGET", "PixelBudget", "resize", "smart_resize"]

# The backbone was not trained on longer strips than this; transformers refuses them too.
MAX_ASPECT_RATIO = 200


@dataclass(frozen=True)
class PixelBudget:
    """Bounds on the area of a resized picture.

    Args:
        min_pixels: Smallest height x width after the resize.
        max_pixels: Largest height x width after the resize.
        factor: Both sides become multiples of this, in pixels.

    Raises:
        ConfigError: The bounds contradict each other (code ``pixel_budget``).
    """

    min_pixels: int = 65_536
    max_pixels: int = 1_048_576
    factor: int = 32

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            # A bool is an int to Python, and a config that says `true` here is a mistake.
            if type(value) is not int or value < 1:
                raise ConfigError(
                    f"{name} must be a whole number of at least 1, got {value!r}",
                    code="pixel_budget",
                )
        if self.min_pixels > self.max_pixels or self.factor**2 > self.max_pixels:
            raise ConfigError(
                f"max_pixels ({self.max_pixels}) must be at least min_pixels ({self.min_pixels}) "
                f"and factor squared ({self.factor**2})",
                code="pixel_budget",
            )

    def to_dict(self) -> dict[str, int]:
        """Return the fields by name, for a checkpoint's config."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, int]) -> PixelBudget:
        """Read what `to_dict` wrote; every field must be there and no other.

        Raises:
            ConfigError: A field is unknown, missing or makes no sense (code ``pixel_budget``).
        """
        known = {field.name for field in fields(cls)}
        unknown, missing = sorted(set(values) - known), sorted(known - set(values))
        if unknown or missing:
            raise ConfigError(
                f"a pixel budget has the fields {sorted(known)}; "
                f"unknown here: {unknown}, missing: {missing}",
                code="pixel_budget",
            )
        return cls(**values)


DEFAULT_BUDGET = PixelBudget()


def smart_resize(
    height: int, width: int, *, budget: PixelBudget = DEFAULT_BUDGET
) -> tuple[int, int]:
    """Return the size at which a picture of ``height`` x ``width`` pixels is scored.

    Each side goes to the nearest multiple of ``factor`` (Python's rounding: ties to even). If the
    area is then above ``max_pixels``, both sides are scaled by ``sqrt(max_pixels / area)`` and
    rounded down; if it is below ``min_pixels``, by ``sqrt(min_pixels / area)`` and rounded up.
    Thus each side is within one ``factor`` of the exactly scaled side.

    The rule is the one the backbone was trained with, and it has two edges that are kept as they
    are: a strip so thin that its short side has to stay at ``factor`` may exceed ``max_pixels``,
    and so may rounding up when the two bounds lie close together.

    Args:
        height: In pixels.
        width: In pixels.
        budget: The bounds.

    Returns:
        ``(height, width)`` in pixels, both positive multiples of ``budget.factor``.

    Raises:
        InputError: A side is not positive (code ``image_too_small``), or the longer side is more
            than 200 times the shorter (code ``image_aspect_ratio``).
    """
    if min(height, width) < 1:
        raise InputError(f"the image has no pixels: {width}x{height}", code="image_too_small")
    if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
        raise InputError(
            f"the image is {width}x{height} (width x height), an aspect ratio of "
            f"{max(height, width) / min(height, width):.4g}; the limit is {MAX_ASPECT_RATIO}",
            code="image_aspect_ratio",
        )
    factor = budget.factor
    new_height = round(height / factor) * factor
    new_width = round(width / factor) * factor
    if new_height * new_width > budget.max_pixels:
        shrink = math.sqrt(height * width / budget.max_pixels)
        new_height = max(factor, math.floor(height / shrink / factor) * factor)
        new_width = max(factor, math.floor(width / shrink / factor) * factor)
    elif new_height * new_width < budget.min_pixels:
        grow = math.sqrt(budget.min_pixels / (height * width))
        new_height = math.ceil(height * grow / factor) * factor
        new_width = math.ceil(width * grow / factor) * factor
    return new_height, new_width


def resize(pixels: npt.NDArray[np.uint8], *, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Resample a picture with Pillow's bicubic filter (antialiased when it shrinks).

    The result equals, value for value, what the stock processor's PIL implementation computes.

    Args:
        pixels: ``[H, W, 3]`` uint8.
        height: Of the result, in pixels.
        width: Of the result, in pixels.

    Returns:
        ``[height, width, 3]`` uint8; ``pixels`` itself where the size is right already.

    Raises:
        InputError: ``pixels`` is not ``[H, W, 3]`` uint8 (code ``tensor_layout``).
    """
    check_rgb(pixels)
    if pixels.shape[:2] == (height, width):
        return pixels
    picture = Image.fromarray(pixels)
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def check_rgb(pixels: npt.NDArray[np.uint8]) -> None:
    """Refuse what is not a decoded picture.

    Raises:
        InputError: ``pixels`` is not ``[H, W, 3]`` uint8 (code ``tensor_layout``).
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise InputError(
            f"pixels must be [height, width, 3] uint8, got {list(pixels.shape)} {pixels.dtype}",
            code="tensor_layout",
        )
