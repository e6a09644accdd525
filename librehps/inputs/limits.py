"""What an image may be at most, and what every source of images is turned into.

A limit is checked on what the header or the array's shape says, before any pixel takes memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from librehps.errors import ConfigError, InputError

__all__ = ["DEFAULT_LIMITS", "DecodedImage", "ImageLimits"]

MAX_PIXELS = 50_000_000
MAX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class ImageLimits:
    """Bounds on one image.

    Args:
        max_pixels: Largest height x width, in pixels. The default, 50 megapixels, takes some 350 MB
            while it is decoded.
        max_bytes: Largest encoded file, in bytes. Arrays and tensors are bound by `max_pixels`
            alone.
        min_side: Smallest height and width, in pixels.
        max_aspect_ratio: Largest ratio of the longer to the shorter side; the resize rule of the
            backbone refuses anything above 200.

    Raises:
        ConfigError: A bound that admits no image (code ``image_limits``).
    """

    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_BYTES
    min_side: int = 2
    max_aspect_ratio: float = 200.0

    def __post_init__(self) -> None:
        if self.max_pixels < 1 or self.max_bytes < 1 or self.min_side < 1:
            raise ConfigError(
                f"max_pixels, max_bytes and min_side must be at least 1, got {self}",
                code="image_limits",
            )
        if not self.max_aspect_ratio >= 1.0:
            raise ConfigError(
                f"max_aspect_ratio must be at least 1, got {self.max_aspect_ratio}",
                code="image_limits",
            )

    def check_size(self, *, height: int, width: int) -> None:
        """Refuse a picture by its size, in pixels.

        Raises:
            InputError: Code ``image_too_small`` (a side is below `min_side`),
                ``image_aspect_ratio`` or ``image_too_large``. A picture that is too thin and too
                long at once is reported as ``image_aspect_ratio``.
        """
        shape = f"{width}x{height} (width x height)"
        shorter, longer = min(height, width), max(height, width)
        if shorter < 1:
            raise InputError(f"the image has no pixels: {shape}", code="image_too_small")
        if height * width > self.max_pixels:
            raise InputError(
                f"the image is {shape}, {height * width:,} pixels; the limit is "
                f"{self.max_pixels:,} pixels: scale it down first",
                code="image_too_large",
            )
        # Compared by multiplication, so that a limit of exactly 200 admits exactly 200.
        if longer > self.max_aspect_ratio * shorter:
            raise InputError(
                f"the image is {shape}, an aspect ratio of {longer / shorter:.4g}; the limit is "
                f"{self.max_aspect_ratio:g}: crop it first",
                code="image_aspect_ratio",
            )
        if shorter < self.min_side:
            raise InputError(
                f"the image is {shape}; each side must have at least {self.min_side} pixels",
                code="image_too_small",
            )

    def check_bytes(self, size: int) -> None:
        """Refuse a file by its size in bytes.

        Raises:
            InputError: Code ``image_too_large``.
        """
        if size > self.max_bytes:
            raise InputError(
                f"the file has {size:,} bytes or more; the limit is {self.max_bytes:,} bytes",
                code="image_too_large",
            )


DEFAULT_LIMITS = ImageLimits()


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An upright sRGB picture without transparency.

    Args:
        pixels: ``[H, W, 3]`` uint8. May be read-only, and may share memory with an array that was
            handed in.
        notes: Plain-language remarks on what was decided on the way, such as
            ``"first of 12 frames"``; empty for an ordinary picture.
        format: ``"JPEG"``, ``"PNG"``, ``"WEBP"``, ``"AVIF"``, ``"GIF"``, ``"BMP"`` or ``"TIFF"``
            for files; ``"PIL"``, ``"array"`` or ``"tensor"`` for what is decoded already.
    """

    pixels: npt.NDArray[np.uint8]
    notes: tuple[str, ...]
    format: str
