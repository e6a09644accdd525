"""Any kind of picture to upright RGB pixels: the one entry for images."""

from __future__ import annotations

import os
import re
import stat
from os import PathLike
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from librehps.errors import InputError
from librehps.inputs.arrays import from_array, from_tensor
from librehps.inputs.decode import decode_bytes, decode_picture
from librehps.inputs.limits import DEFAULT_LIMITS, DecodedImage, ImageLimits
from librehps.typing import Tensor

__all__ = ["DecodedImage", "ImageLimits", "ImageSource", "load_image"]

if TYPE_CHECKING:
    ImageSource = str | PathLike[str] | bytes | Image.Image | np.ndarray | Tensor
else:
    # `load_image` itself says what is wrong with any other type, also where annotations are
    # checked.
    ImageSource = object

# Two letters or more in front: "C:\\" is a drive.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:")
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "AVIF": (".avif", ".avifs"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    # Known names of formats that are not read: a picture that carries one is still worth a note.
    "other": (".heic", ".heif", ".jxl", ".jp2", ".svg", ".pdf", ".psd", ".eps", ".ico", ".ppm"),
}
_KNOWN = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes}


def load_image(source: ImageSource, *, limits: ImageLimits = DEFAULT_LIMITS) -> DecodedImage:
    """Read one picture: oriented by its EXIF data, in sRGB, transparency composited on white.

    Files are told by their content: JPEG, PNG, WebP, AVIF, GIF, BMP and TIFF; a name that says
    something else leaves a note. Of an animation or a document the first picture is taken, which a
    note says. Grey, palette, 1-bit and CMYK pictures become RGB, 16-bit ones are scaled to 8 bits,
    an ICC profile is converted to sRGB (a damaged one is ignored, with a note). How these rules
    differ from the stock processor's is written in `librehps.inputs.colour`. URLs are never
    fetched.

    Args:
        source: A path, the bytes of a file, a Pillow image (the frame it stands on), a numpy array
            (``HxW`` or ``HxWxC`` uint8) or a tensor (``CxHxW`` or ``1xCxHxW``; uint8, or float in
            [0, 1] which is rounded to 8 bits).
        limits: Bounds that are checked before pixels take memory.

    Returns:
        The picture, ``[H, W, 3]`` uint8, with notes and the real format.

    Raises:
        InputError: With one of the codes ``image_type`` (not one of the types above),
            ``image_missing`` (no such file, or a URL), ``image_not_a_file`` (a folder, pipe,
            socket or device), ``image_unreadable`` (the system refuses to read it),
            ``image_empty``, ``image_unrecognized``, ``image_truncated``, ``image_damaged``,
            ``image_mode_unsupported``, ``image_too_large``, ``image_too_small``,
            ``image_aspect_ratio``, ``image_memory`` (memory ran out), ``tensor_layout``,
            ``tensor_dtype``, ``tensor_range``, ``tensor_nonfinite``. ``item`` is the path, if it is
            one.
    """
    return _from_any(source, limits)


def _from_any(source: object, limits: ImageLimits) -> DecodedImage:
    if isinstance(source, str | PathLike):
        return _from_path(source, limits)
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_bytes(bytes(source), limits=limits)
    if isinstance(source, Image.Image):
        return decode_picture(source, limits=limits)
    if isinstance(source, np.ndarray):
        return from_array(source, limits=limits)
    if isinstance(source, Tensor):
        return from_tensor(source, limits=limits)
    raise InputError(
        "an image must be a path, bytes, a PIL image, a numpy array or a tensor, "
        f"got {type(source).__name__}",
        code="image_type",
    )


def _from_path(source: str | PathLike[str], limits: ImageLimits) -> DecodedImage:
    path = os.fspath(source)
    name = os.fsdecode(path)
    try:
        if _URL.match(name):
            raise InputError(
                "URLs are not fetched: download the picture and pass its path or its bytes",
                code="image_missing",
            )
        decoded = decode_bytes(_read(name, limits), limits=limits)
    except InputError as error:
        error.at(name if len(name) <= 200 else f"{name[:197]}...")
        raise
    suffix = PurePath(name).suffix.lower()
    if _KNOWN.get(suffix, decoded.format) == decoded.format:
        return decoded
    note = f"the name ends in {suffix}, the file is {decoded.format}"
    return DecodedImage(pixels=decoded.pixels, notes=(note, *decoded.notes), format=decoded.format)


def _read(path: str, limits: ImageLimits) -> bytes:
    """Read a regular file, once, up to the limit.

    Raises:
        InputError: Code ``image_missing``, ``image_not_a_file``, ``image_unreadable`` or
            ``image_too_large``.
    """
    try:
        _check_regular(os.stat(path))
        # Without O_NONBLOCK, a pipe put in the file's place since the line above would block for
        # ever.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags | getattr(os, "O_CLOEXEC", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            _check_regular(status)
            limits.check_bytes(status.st_size)
            # One byte more than it should have: a file that grows meanwhile is measured again
            # later.
            return file.read(status.st_size + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError("there is no such file", code="image_missing") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"the file cannot be read: {reason}", code="image_unreadable") from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"not a path: {error}", code="image_missing") from error


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    kind = kinds.get(stat.S_IFMT(status.st_mode), "no regular file")
    raise InputError(f"the path is {kind}, not a file", code="image_not_a_file")
