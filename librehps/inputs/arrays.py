"""Pictures that are decoded already: numpy arrays and tensors.

Nothing is guessed from values: a layout, a dtype or a range that is not the stated one is an error
that says what it looks like. Guessing would score some pictures wrongly, and silently.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from librehps.errors import InputError
from librehps.inputs.colour import to_upright_rgb
from librehps.inputs.limits import DecodedImage, ImageLimits
from librehps.typing import Tensor

__all__ = ["from_array", "from_tensor"]

_CHANNELS = (1, 3, 4)
# Resampling overshoots [0, 1] by rounding noise. A quarter of a grey level is far from changing
# what a value rounds to, and far below any real mistake of range.
_SLACK = 0.25 / 255


def from_array(array: npt.NDArray[Any], *, limits: ImageLimits) -> DecodedImage:
    """Take an ``HxW``, ``HxWx1``, ``HxWx3`` or ``HxWx4`` uint8 array: grey, RGB or RGBA.

    Raises:
        InputError: Code ``tensor_dtype``, ``tensor_layout``, or a code of `ImageLimits.check_size`.
    """
    shape = list(array.shape)
    if array.dtype != np.uint8:
        hint = (
            "multiply by 255, round and convert, or pass a tensor in [0, 1]"
            if np.issubdtype(array.dtype, np.floating)
            else "convert it to 8 bits first"
        )
        raise InputError(
            f"a numpy image must be uint8, got {array.dtype} {shape}: {hint}", code="tensor_dtype"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and shape[2] not in _CHANNELS):
        hint = ""
        if array.ndim == 3 and shape[0] in _CHANNELS:
            hint = ": this looks channels-first, use array.transpose(1, 2, 0)"
        elif array.ndim == 4:
            hint = ": pass the pictures of a batch one by one"
        raise InputError(
            f"a numpy image must be HxW or HxWxC with 1, 3 or 4 channels, got {shape}{hint}",
            code="tensor_layout",
        )
    limits.check_size(height=shape[0], width=shape[1])
    return _finish(np.ascontiguousarray(array), "array")


def from_tensor(tensor: Tensor, *, limits: ImageLimits) -> DecodedImage:
    """Take a ``CxHxW`` or ``1xCxHxW`` tensor, C = 1, 3 or 4; uint8, or floating point in [0, 1].

    Floats become ``round(255 * value)``, ties to even, in float32: from there on a tensor and the
    file that it was read from are the same picture. The tensor may be on any device and is
    detached; no gradient passes through here.

    Raises:
        InputError: Code ``tensor_dtype``, ``tensor_layout``, ``tensor_nonfinite``,
            ``tensor_range``, or a code of `ImageLimits.check_size`.
    """
    shape = list(tensor.shape)
    if tensor.layout != torch.strided or tensor.is_meta:
        raise InputError(
            f"a tensor image must be dense and hold values, got {tensor.layout} on {tensor.device}",
            code="tensor_layout",
        )
    if tensor.dtype != torch.uint8 and not tensor.is_floating_point():
        raise InputError(
            f"a tensor image must be uint8, or float in [0, 1], got {tensor.dtype} {shape}",
            code="tensor_dtype",
        )
    if len(shape) == 4 and shape[0] != 1:
        raise InputError(
            f"a tensor of {shape} is a batch of {shape[0]}: pass its pictures one by one",
            code="tensor_layout",
        )
    if len(shape) not in (3, 4) or shape[-3] not in _CHANNELS:
        looks_last = len(shape) in (3, 4) and shape[-1] in _CHANNELS
        turn = "(2, 0, 1)" if len(shape) == 3 else "(0, 3, 1, 2)"
        hint = f": this looks channels-last, use tensor.permute{turn}" if looks_last else ""
        raise InputError(
            f"a tensor image must be CxHxW or 1xCxHxW with 1, 3 or 4 channels, got {shape}{hint}",
            code="tensor_layout",
        )
    limits.check_size(height=shape[-2], width=shape[-1])
    picture = tensor.detach().reshape(shape[-3:])
    if picture.is_floating_point():
        picture = _to_bytes(picture)
    return _finish(picture.permute(1, 2, 0).contiguous().cpu().numpy(), "tensor")


def _to_bytes(picture: Tensor) -> Tensor:
    """Round floats in [0, 1] to uint8.

    Raises:
        InputError: Code ``tensor_nonfinite`` or ``tensor_range``.
    """
    picture = picture.to(torch.float32)
    # NaN and infinity both survive into one of the two, so one pass finds everything.
    low, high = (float(value) for value in torch.aminmax(picture))
    if not (np.isfinite(low) and np.isfinite(high)):
        count = int((~torch.isfinite(picture)).sum())
        raise InputError(
            f"{count:,} of {picture.numel():,} values are NaN or infinite", code="tensor_nonfinite"
        )
    if low < -_SLACK or high > 1 + _SLACK:
        hint = "normalise it first"
        if low >= 0 and high <= 255:
            hint = "this looks like 0..255: divide by 255, or convert to uint8"
        elif low >= -1 - _SLACK and high <= 1 + _SLACK:
            hint = "this looks like [-1, 1]: use (x + 1) / 2"
        raise InputError(
            f"a floating-point image must lie in [0, 1], got [{low:.4g}, {high:.4g}]: {hint}",
            code="tensor_range",
        )
    return picture.clamp(0, 1).mul(255).round().to(torch.uint8)


def _finish(pixels: npt.NDArray[np.uint8], kind: str) -> DecodedImage:
    """Bring ``HxW`` or ``HxWxC`` uint8 to RGB by the rules for files."""
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return DecodedImage(pixels=pixels, notes=(), format=kind)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    rgb, notes = to_upright_rgb(Image.fromarray(pixels))
    return DecodedImage(pixels=rgb, notes=tuple(notes), format=kind)
