"""A picture as Pillow decoded it, brought to upright sRGB without transparency.

Three rules differ on purpose from the stock transformers processor, which calls ``convert("RGB")``:
transparency is composited on white (there: dropped, which shows whatever colour lies under it),
16-bit grey is scaled to 8 bits (there: clipped, so nearly everything becomes white), and the EXIF
orientation and the ICC profile are honoured (there: only if the caller does it).
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms

from librehps.errors import InputError

__all__ = ["check_mode", "to_upright_rgb"]

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
# Profiles that move no channel by more than this are sRGB under another name; applying them would
# only add rounding noise.
_SAME_AS_SRGB = 2
# What a TIFF's numbers mean is in this tag; Pillow turns negatives round, but for those of 16 bits.
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_PROBE = np.stack(
    np.meshgrid(*[np.linspace(0, 255, 6).astype(np.uint8)] * 3, indexing="ij"), axis=-1
).reshape(6, 36, 3)


def check_mode(mode: str) -> None:
    """Refuse pixel types whose range is unknown, by Pillow's name for them.

    Raises:
        InputError: Floating point or 32-bit integers (code ``image_mode_unsupported``): what is
            black and what is white is not written in the file, so any guess would change the score.
    """
    if mode in {"F", "I"} or mode.startswith("I;32"):
        kind = "floating-point" if mode == "F" else "32-bit integer or signed"
        raise InputError(
            f"the image has {kind} pixels, whose black and white points are unknown: "
            "tone-map it to 8 bits first",
            code="image_mode_unsupported",
        )


def to_upright_rgb(
    picture: Image.Image, *, depth: int | None = None
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Convert a loaded picture of any mode.

    In this order: 16-bit grey to 8 bits (``round(value / 257)``; Pillow itself reduces 16-bit
    colour, by keeping the high byte), alpha split off, colours to sRGB through the ICC profile if
    there is one, compositing on white, EXIF orientation.

    Args:
        picture: Loaded; not changed.
        depth: Bits of a sample in the PNG that it was decoded from, if it was.

    Returns:
        The pixels, ``[H, W, 3]`` uint8, and notes on what was done.

    Raises:
        InputError: See `check_mode`.
    """
    check_mode(picture.mode)
    notes: list[str] = []
    turn = _orientation(picture, notes)
    profile = picture.info.get("icc_profile")
    colours, alpha = _split_alpha(picture, depth, notes)
    upright = _to_srgb(colours, profile, notes) if profile else colours.convert("RGB")
    if alpha is not None and _lowest(alpha) < 255:
        white = Image.new("RGB", upright.size, (255, 255, 255))
        upright = Image.composite(upright, white, alpha)
        notes.append("transparency composited on white")
    if turn in _TURNS:
        upright = upright.transpose(_TURNS[turn])
        notes.append(f"turned upright (EXIF orientation {turn})")
    return np.asarray(upright), notes


def _split_alpha(
    picture: Image.Image, depth: int | None, notes: list[str]
) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours as ``L``, ``RGB``, ``CMYK`` or a mode that converts, and the alpha."""
    if picture.mode.startswith("I;16"):
        return _from_16_bit(picture)
    if not picture.has_transparency_data:
        return (picture if picture.mode in _PROFILE_SPACES else _plain(picture)), None
    if picture.mode == "La":
        picture = picture.convert("LA")
    if picture.mode == "LA":
        return picture.getchannel("L"), picture.getchannel("A")
    if picture.mode in ("L", "RGB"):
        picture = _with_byte_key(picture, depth, notes)
    with_alpha = picture.convert("RGBA")
    return with_alpha.convert("RGB"), with_alpha.getchannel("A")


def _plain(picture: Image.Image) -> Image.Image:
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _from_16_bit(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Scale 65535 to 255, rounding to nearest, and apply a colour key at full depth."""
    # Pillow's buffer is in the mode's own byte order, which asarray already states in its dtype.
    values = np.asarray(picture).astype(np.uint32)
    if getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = 65535 - values
    grey = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    key = picture.info.get("transparency")
    if not isinstance(key, int):
        return grey, None
    return grey, Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))


def _with_byte_key(picture: Image.Image, depth: int | None, notes: list[str]) -> Image.Image:
    """Return a picture whose transparent colour is given in bytes.

    A PNG names it with as many bits as its samples have. Pillow has already spread grey of 2 and 4
    bits over a byte, and reduced colours of 16 bits to their high byte.
    """
    key = picture.info.get("transparency")
    if isinstance(key, int) and depth in (2, 4):
        picture = picture.copy()
        picture.info["transparency"] = key * (255 // (2**depth - 1))
    # Of a picture that somebody else has opened the depth is not known.
    elif isinstance(key, tuple) and (depth == 16 or (depth is None and max(key) > 255)):
        picture = picture.copy()
        picture.info["transparency"] = tuple(value >> 8 for value in key)
        notes.append("the transparent colour has 16 bits and was compared by its high byte")
    return picture


def _to_srgb(colours: Image.Image, profile: object, notes: list[str]) -> Image.Image:
    """Convert through an ICC profile; a profile that cannot be used leaves a note, not an error."""
    plain = colours.convert("RGB")
    # Grey pictures often carry an RGB profile; it then applies to the colours they convert to.
    try:
        if not isinstance(profile, bytes):
            raise TypeError(f"a profile of type {type(profile).__name__}")
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if not isinstance(source.profile, ImageCms.core.CmsProfile):
            raise TypeError("a profile that Pillow did not open")
        space = source.profile.xcolor_space.strip()
        chosen = colours if _PROFILE_SPACES.get(colours.mode) == space else plain
        if _PROFILE_SPACES[chosen.mode] != space:
            notes.append(f"ICC profile for {space} ignored: the pixels are {colours.mode}")
            return plain
        # The optimised transform of a grey curve is off by up to 10 levels in the dark; an exact
        # one is slow, so it is applied to each of the 256 levels once.
        flags = ImageCms.Flags.NOOPTIMIZE if space == "GRAY" else ImageCms.Flags.NONE
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), chosen.mode, "RGB", flags=flags
        )
        if space == "RGB":
            probe = Image.fromarray(_PROBE)
            moved = np.asarray(transform.apply(probe)).astype(int) - _PROBE
            if np.abs(moved).max() <= _SAME_AS_SRGB:
                return plain
        converted = _by_level(chosen, transform) if space == "GRAY" else transform.apply(chosen)
    except Exception as error:  # a hostile profile may raise anything; the picture is fine
        notes.append(f"ICC profile ignored: it is damaged ({type(error).__name__})")
        return plain
    notes.append("colours converted to sRGB from the embedded ICC profile")
    return converted


def _by_level(grey: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    levels = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    table = np.asarray(transform.apply(levels))[0]
    return Image.fromarray(table[np.asarray(grey)])


def _orientation(picture: Image.Image, notes: list[str]) -> int:
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception as error:  # hostile metadata may raise anything; the picture is fine
        notes.append(f"EXIF data ignored: it is damaged ({type(error).__name__})")
        return 1


def _lowest(alpha: Image.Image) -> int:
    lowest = alpha.getextrema()[0]
    return int(lowest) if isinstance(lowest, int | float) else 0
