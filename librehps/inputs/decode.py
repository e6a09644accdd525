"""From the bytes of a file to pixels, with every failure turned into a typed error.

Seven formats are decoded: JPEG, PNG, WebP, AVIF, GIF, BMP and TIFF. Pillow knows many more, but
each decoder is code that a hostile file can reach, so the rest are refused. Pillow's global
switches are never touched: a process that scores pictures may use Pillow for other things.
"""

from __future__ import annotations

import io
import sys
import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import IO

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from librehps.errors import InputError
from librehps.inputs.colour import check_mode, to_upright_rgb
from librehps.inputs.containers import (
    FORMATS,
    MAX_GIF_FRAMES,
    check_structure,
    count_gif_frames,
    describe,
    sniff,
    webp_size,
)
from librehps.inputs.limits import DecodedImage, ImageLimits

__all__ = ["decode_bytes", "decode_picture"]

# Opened by their own classes, not by Image.open: that one would only say "cannot identify image
# file".
_OPENERS: dict[str, Callable[[IO[bytes]], Image.Image]] = {
    "JPEG": jpeg_factory,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "AVIF": AvifImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
}
_MAX_PAGES = 100
# Tags of where strips and tiles begin, and how long each is.
_TIFF_PARTS = ((273, 279), (324, 325))


def decode_bytes(data: bytes, *, limits: ImageLimits) -> DecodedImage:
    """Decode the bytes of an image file, whatever it is called.

    Raises:
        InputError: See `librehps.inputs.image.load_image`.
    """
    limits.check_bytes(len(data))
    if not data:
        raise InputError("the file is empty (0 bytes)", code="image_empty")
    kind = sniff(data)
    if kind is None:
        raise InputError(
            f"not an image that is read here: {len(data):,} bytes that look like {describe(data)}; "
            f"the formats are {', '.join(FORMATS)}",
            code="image_unrecognized",
        )
    size = webp_size(data) if kind == "WEBP" else None
    if size is not None:
        limits.check_size(height=size[0], width=size[1])
    with _quiet_pillow():
        with _typed_errors(kind, data):
            picture = _OPENERS[kind](io.BytesIO(data))
        # The size before the structure: a checksum over a huge file is not worth computing.
        limits.check_size(height=picture.height, width=picture.width)
        check_mode(picture.mode)
        check_structure(data, kind)
        with _typed_errors(kind, data):
            if kind == "TIFF":
                _check_strips(picture, len(data))
            picture.load()
            pixels, notes = to_upright_rgb(picture, depth=data[24] if kind == "PNG" else None)
            frames = _count_frames(picture, kind, data)
    if frames is not None:
        notes.insert(0, frames)
    return DecodedImage(pixels=pixels, notes=tuple(notes), format=kind)


def decode_picture(picture: Image.Image, *, limits: ImageLimits) -> DecodedImage:
    """Convert a Pillow image by the same rules as a file; of an animation, the frame it stands on.

    Raises:
        InputError: See `librehps.inputs.image.load_image`.
    """
    limits.check_size(height=picture.height, width=picture.width)
    check_mode(picture.mode)
    with _quiet_pillow(), _typed_errors("picture", None):
        picture.load()
        pixels, notes = to_upright_rgb(picture)
        if getattr(picture, "is_animated", False):
            frames = getattr(picture, "n_frames", 1)
            notes.insert(0, f"frame {picture.tell() + 1} of {frames}")
    return DecodedImage(pixels=pixels, notes=tuple(notes), format="PIL")


@contextmanager
def _typed_errors(kind: str, data: bytes | None) -> Generator[None]:
    """Turn whatever a decoder throws into an `InputError`, with the cause attached."""
    try:
        yield
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"the {kind} is too large: {error}", code="image_too_large") from error
    except MemoryError as error:
        raise InputError(
            f"memory ran out while the {kind} was decoded", code="image_memory"
        ) from error
    except Exception as error:  # decoders raise OSError, SyntaxError, RuntimeError, ValueError, …
        if data is not None:
            # The file's own framing says more than the decoder's message does.
            try:
                check_structure(data, kind)
            except InputError as finding:
                raise finding from error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        cut = "truncat" in reason.lower()
        raise InputError(
            f"the {kind} is {'cut short' if cut else 'damaged'}: {reason}",
            code="image_truncated" if cut else "image_damaged",
        ) from error


def _check_strips(picture: Image.Image, size: int) -> None:
    """Refuse a TIFF of which strips or tiles are not all there, whatever Pillow is told to accept.

    Raises:
        InputError: Code ``image_truncated``.
    """
    tags = getattr(picture, "tag_v2", {})
    for starts, lengths in _TIFF_PARTS:
        ends = zip(tags.get(starts, ()), tags.get(lengths, ()), strict=False)
        if any(start + length > size for start, length in ends):
            raise InputError(
                "the TIFF is cut short: its pixels end behind its last byte", code="image_truncated"
            )


def _count_frames(picture: Image.Image, kind: str, data: bytes) -> str | None:
    """Return a note where a file holds more than the one picture that is scored."""
    all_seen = True
    if kind == "GIF":
        frames = count_gif_frames(data)
        all_seen = frames < MAX_GIF_FRAMES
    elif kind == "TIFF":
        frames, all_seen = _count_pages(data)
    else:
        frames = int(getattr(picture, "n_frames", 1))
    if frames < 2:
        return None
    what = {"JPEG": "pictures", "TIFF": "pages"}.get(kind, "frames")
    return f"first of {frames}{'' if all_seen else ' or more'} {what}"


def _count_pages(data: bytes) -> tuple[int, bool]:
    """Count the pages of a TIFF, up to a hundred; also return whether these are all.

    On a second handle, because seeking throws decoded pixels away.
    """
    pages = 1
    try:
        document = TiffImageFile(io.BytesIO(data))
        while pages < _MAX_PAGES:
            document.seek(pages)
            pages += 1
    except Exception as error:  # the end of the list, or damage behind the page that is scored
        return pages, isinstance(error, EOFError)
    return pages, False


class _Quiet:
    """Hides the warnings that Pillow raises while any thread is decoding.

    What they say (a bomb, corrupt EXIF) is either an error here or has its own note.
    `warnings.catch_warnings` swaps state of the whole process, so overlapping uses from several
    threads would leave it wrong for good; here the first to enter installs it and the last to
    leave removes it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._saved: warnings.catch_warnings[None] | None = None

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                _ignore_pillow()
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._saved is not None:
                self._saved.__exit__(None, None, None)
                self._saved = None


_QUIET = _Quiet()


def _ignore_pillow() -> None:
    warnings.filterwarnings("ignore", module=r"PIL\.")


@contextmanager
def _quiet_pillow() -> Generator[None]:
    if getattr(sys.flags, "context_aware_warnings", False):
        # Each thread has filters of its own (Python 3.14 and later).
        with warnings.catch_warnings():
            _ignore_pillow()
            yield
        return
    _QUIET.enter()
    try:
        yield
    finally:
        _QUIET.leave()
