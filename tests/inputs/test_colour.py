"""Every colour mode against what a person would see, with pictures made here."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from librehps.errors import InputError
from librehps.inputs.colour import check_mode, to_upright_rgb
from librehps.inputs.image import load_image

RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8)
WHITE = "transparency composited on white"


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png(values: np.ndarray, colour_type: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Write a 16-bit PNG, which Pillow itself cannot do for colour."""
    height, width = values.shape[:2]
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in values)
    return raw_png(rows, (width, height, 16, colour_type), *chunks)


def raw_png(rows: bytes, sizes: tuple[int, ...], *chunks: tuple[bytes, bytes]) -> bytes:
    """Write a PNG of rows that are packed already: width, height, bits and type of colour."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", *sizes, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, body) for name, body in parts)


def profile(space: bytes, primaries: np.ndarray | None, gamma: float) -> bytes:
    """Write a version 2 ICC profile: a matrix with one gamma, or a grey curve."""

    def s15(values: np.ndarray) -> bytes:
        return b"XYZ \x00\x00\x00\x00" + np.round(values * 65536).astype(">i4").tobytes()

    curve = b"curv" + struct.pack(">IIH2x", 0, 1, round(gamma * 256))
    name = b"A test profile\x00"
    desc = b"desc\x00\x00\x00\x00" + struct.pack(">I", len(name)) + name + bytes(78)
    tags = {b"desc": desc, b"cprt": b"text\x00\x00\x00\x00none\x00"}
    tags[b"wtpt"] = s15(np.array([0.9642, 1.0, 0.8249]))
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        for letter, column in zip("rgb", primaries.T, strict=True):
            tags[f"{letter}XYZ".encode()] = s15(column)
            tags[f"{letter}TRC".encode()] = curve
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        table += signature + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    total = start + len(body)
    header = struct.pack(
        ">I4sI4s4s4s12x4s", total, b"lcms", 0x02400000, b"mntr", space, b"XYZ ", b"acsp"
    )
    header += bytes(28) + np.round(np.array([0.9642, 1.0, 0.8249]) * 65536).astype(">i4").tobytes()
    return header.ljust(128, b"\x00") + struct.pack(">I", len(tags)) + table + body


# Display P3's and sRGB's primaries, adapted to the profile connection space (D50), as columns.
P3 = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
SRGB = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
P3_PROFILE = profile(b"RGB ", P3, 2.2)
GREY_PROFILE = profile(b"GRAY", None, 1.0)


def srgb_curve(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    low, high = 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    return 255 * np.where(linear <= 0.0031308, low, high)


def test_opaque_8_bit_pictures_are_untouched() -> None:
    for kind, options in (("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        decoded = load_image(encode(Image.fromarray(RGB), kind, **options))
        assert np.array_equal(decoded.pixels, RGB)
        assert decoded.notes == ()
    grey = Image.fromarray(RGB[:, :, 0])
    assert np.array_equal(load_image(encode(grey, "PNG")).pixels, np.stack([grey] * 3, -1))
    bits = Image.fromarray(RGB[:, :, 0] > 127)
    assert bits.mode == "1"
    wanted = np.repeat(np.where(RGB[:, :, :1] > 127, 255, 0), 3, axis=2)
    for kind in ("PNG", "TIFF", "BMP"):
        assert np.array_equal(load_image(encode(bits, kind)).pixels, wanted)


def test_palettes_become_their_colours() -> None:
    picture = Image.fromarray(RGB).quantize(16)
    wanted = np.asarray(picture.convert("RGB"))
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        assert np.array_equal(load_image(encode(picture, kind)).pixels, wanted)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    values = np.linspace(0, 65535, 256 * 64).round().astype(np.uint16).reshape(256, 64)
    decoded = load_image(encode(Image.fromarray(values), kind))
    assert decoded.pixels.mean() == pytest.approx(127.5, abs=0.01)
    assert np.array_equal(decoded.pixels[:, :, 1], np.round(values / 257))


def test_16_bit_grey_in_either_byte_order() -> None:
    values = RNG.integers(0, 65536, (9, 9), dtype=np.uint16)
    for mode, dtype in (("I;16", "<u2"), ("I;16L", "<u2"), ("I;16B", ">u2")):
        picture = Image.frombytes(mode, (9, 9), values.astype(dtype).tobytes())
        assert np.array_equal(load_image(picture).pixels[:, :, 0], np.round(values / 257))


def test_16_bit_colour() -> None:
    values = np.linspace(0, 65535, 48 * 64 * 3).round().astype(np.uint16).reshape(48, 64, 3)
    decoded = load_image(png(values, 2))
    assert decoded.pixels.mean() == pytest.approx(127.5, abs=0.6)
    assert np.abs(decoded.pixels - values / 257).max() <= 1.0
    opaque = np.full((48, 64, 1), 65535, np.uint16)
    with_alpha = np.concatenate([values, opaque], axis=2)
    assert np.array_equal(load_image(png(with_alpha, 6)).pixels, decoded.pixels)
    assert (load_image(png(with_alpha * [1, 1, 1, 0], 6)).pixels == 255).all()


def test_a_16_bit_colour_key_is_transparent() -> None:
    grey = np.full((4, 4), 1000, np.uint16)
    grey[0] = 1001  # the same byte as its neighbours, but not the key
    decoded = load_image(png(grey, 0, (b"tRNS", struct.pack(">H", 1000))))
    assert (decoded.pixels[1:] == 255).all()
    assert (decoded.pixels[0] == 4).all()
    assert decoded.notes == (WHITE,)
    colour = np.zeros((4, 4, 3), np.uint16)
    colour[0] = 40000
    decoded = load_image(png(colour, 2, (b"tRNS", struct.pack(">HHH", 40000, 40000, 40000))))
    assert (decoded.pixels[0] == 255).all()
    assert (decoded.pixels[1:] == 0).all()


@pytest.mark.parametrize(("bits", "packed"), [(2, 0x1B), (4, 0x5A)])
def test_a_colour_key_of_few_bits_is_transparent(bits: int, packed: int) -> None:
    per_byte = 8 // bits
    levels = [packed >> (8 - bits * (n + 1)) & (2**bits - 1) for n in range(per_byte)]
    for key in levels:
        data = raw_png(
            (b"\x00" + bytes([packed] * 8)) * 8,
            (8 * per_byte, 8, bits, 0),
            (b"tRNS", struct.pack(">H", key)),
        )
        decoded = load_image(data)
        wanted = [255 if level == key else level * 255 // (2**bits - 1) for level in levels]
        assert decoded.pixels[0, :per_byte, 0].tolist() == wanted
        assert decoded.notes == (WHITE,)


def test_a_16_bit_colour_key_below_256_is_no_byte() -> None:
    colour = np.full((4, 4, 3), 40000, np.uint16)
    colour[0] = 100
    decoded = load_image(png(colour, 2, (b"tRNS", struct.pack(">HHH", 100, 100, 100))))
    assert (decoded.pixels[0] == 255).all()
    assert (decoded.pixels[1:] == 156).all()
    # Pillow has dropped the low bytes: what cannot be told apart is said.
    assert any("high byte" in note for note in decoded.notes)


def test_a_16_bit_negative_is_turned_round() -> None:
    grey = (np.arange(144, dtype=np.uint16) * 257).reshape(12, 12)
    data = bytearray(encode(Image.fromarray(65535 - grey), "TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    for entry in range(struct.unpack_from("<H", data, first)[0]):
        at = first + 2 + 12 * entry
        if struct.unpack_from("<H", data, at)[0] == 262:
            struct.pack_into("<H", data, at + 8, 0)
    assert np.array_equal(load_image(bytes(data)).pixels[..., 0], grey // 257)


def test_alpha_is_composited_on_white() -> None:
    alpha = RNG.integers(0, 256, (12, 20), dtype=np.uint8)
    picture = Image.fromarray(np.dstack([RGB, alpha]))
    share = alpha[:, :, None] / 255
    wanted = RGB * share + 255 * (1 - share)
    for source in (
        picture,
        encode(picture, "PNG"),
        encode(picture, "WEBP", lossless=True, exact=True),
    ):
        decoded = load_image(source)
        assert np.abs(decoded.pixels - wanted).max() <= 0.51
        assert decoded.notes == (WHITE,)


def test_a_full_alpha_channel_changes_nothing() -> None:
    decoded = load_image(Image.fromarray(RGB).convert("RGBA"))
    assert np.array_equal(decoded.pixels, RGB)
    assert decoded.notes == ()


@pytest.mark.parametrize("mode", ["LA", "La", "RGBa", "PA"])
def test_other_alpha_modes(mode: str) -> None:
    clear = Image.new("LA", (4, 4), (10, 0)) if mode != "RGBa" else Image.new("RGBA", (4, 4))
    picture = Image.new("PA", (4, 4)) if mode == "PA" else clear.convert(mode)
    decoded = load_image(picture)
    assert (decoded.pixels == 255).all()
    assert decoded.notes == (WHITE,)


def test_transparent_palette_entries_and_keys() -> None:
    stripes = np.zeros((4, 4), np.uint8)
    stripes[2:] = 1
    picture = Image.fromarray(stripes)
    palette = picture.copy()
    palette.putpalette([200, 0, 0, 0, 0, 200])
    for source in (
        encode(palette, "PNG", transparency=b"\x00\xff"),
        encode(palette, "PNG", transparency=0),
        encode(palette, "GIF", transparency=0),
    ):
        decoded = load_image(source)
        assert (decoded.pixels[:2] == 255).all()
        assert (decoded.pixels[2:] == [0, 0, 200]).all()
        assert decoded.notes == (WHITE,)
    half = load_image(encode(palette, "PNG", transparency=b"\x80\xff")).pixels
    assert np.abs(half[0, 0] - np.array([227.4, 127, 127])).max() <= 0.6
    keyed_grey = load_image(encode(picture, "PNG", transparency=0))
    assert (keyed_grey.pixels[:2] == 255).all()
    assert (keyed_grey.pixels[2:] == 1).all()
    keyed_rgb = load_image(encode(palette.convert("RGB"), "PNG", transparency=(200, 0, 0)))
    assert (keyed_rgb.pixels[:2] == 255).all()
    assert (keyed_rgb.pixels[2:] == [0, 0, 200]).all()
    bits = encode(picture.point(lambda value: 255 * value).convert("1"), "PNG", transparency=0)
    assert (load_image(bits).pixels == 255).all()


@pytest.mark.parametrize(
    ("ink", "colour"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 255, 255, 0), (255, 0, 0)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str, ink: tuple[int, ...], colour: tuple[int, ...]) -> None:
    data = encode(Image.new("CMYK", (16, 16), ink), kind)
    assert np.abs(load_image(data).pixels - np.array(colour)).max() <= 3


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_of_unknown_range_are_refused(mode: str) -> None:
    data = encode(Image.new(mode, (8, 8)), "TIFF")
    for source in (data, Image.new(mode, (8, 8))):
        with pytest.raises(InputError, match="tone-map") as caught:
            load_image(source)
        assert caught.value.code == "image_mode_unsupported"
    with pytest.raises(InputError):
        check_mode("I;32B")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_end_upright(kind: str, orientation: int) -> None:
    corners = {(0, 0): (250, 0, 0), (0, 1): (0, 250, 0), (1, 0): (0, 0, 250), (1, 1): (250, 250, 0)}
    upright = np.zeros((32, 48, 3), np.uint8)
    for (down, right), colour in corners.items():
        upright[16 * down : 16 * down + 16, 24 * right : 24 * right + 24] = colour
    # How a camera held in each of the eight ways stores this scene (EXIF 2.32, tag 0x0112).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(np.ascontiguousarray(stored))
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95}
    decoded = load_image(encode(picture, kind, exif=exif, **options))
    assert decoded.pixels.shape == (32, 48, 3)
    centres = decoded.pixels[8::16, 12::24].astype(int)
    assert np.abs(centres - upright[8::16, 12::24]).max() <= 16
    # Pillow turns a TIFF itself while it loads.
    noted = orientation > 1 and kind != "TIFF"
    assert decoded.notes == ((f"turned upright (EXIF orientation {orientation})",) * noted)


def test_orientations_that_do_not_exist_are_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 99
    decoded = load_image(encode(Image.fromarray(RGB), "PNG", exif=exif))
    assert np.array_equal(decoded.pixels, RGB)


def test_damaged_exif_does_not_stop_a_picture() -> None:
    data = encode(Image.fromarray(RGB), "PNG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xffgarbage")
    assert np.array_equal(load_image(data).pixels, RGB)
    data = encode(Image.fromarray(RGB), "WEBP", lossless=True, exif=b"Exif\x00\x00nonsense")
    decoded = load_image(data)
    assert np.array_equal(decoded.pixels, RGB)
    assert len(decoded.notes) == 1
    assert decoded.notes[0].startswith("EXIF data ignored: it is damaged")


def test_a_wide_gamut_profile_is_converted() -> None:
    linear = (RGB / 255.0) ** 2.2
    wanted = srgb_curve(linear @ (np.linalg.inv(SRGB) @ P3).T)
    for kind, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        data = encode(Image.fromarray(RGB), kind, icc_profile=P3_PROFILE, **options)
        decoded = load_image(data)
        assert decoded.notes == ("colours converted to sRGB from the embedded ICC profile",)
        assert np.abs(decoded.pixels - wanted).max() <= 1
        assert np.abs(decoded.pixels - RGB.astype(int)).max() > 20


def test_a_grey_profile_is_converted() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    wanted = np.repeat(srgb_curve(ramp / 255)[:, :, None], 3, axis=2)
    decoded = load_image(encode(Image.fromarray(ramp), "PNG", icc_profile=GREY_PROFILE))
    assert decoded.notes == ("colours converted to sRGB from the embedded ICC profile",)
    assert np.abs(decoded.pixels - wanted).max() <= 1
    wide = load_image(
        encode(Image.fromarray(ramp * np.uint16(257)), "PNG", icc_profile=GREY_PROFILE)
    )
    assert np.array_equal(wide.pixels, decoded.pixels)


def test_profiles_apply_below_transparency() -> None:
    alpha = np.full((12, 20, 1), 255, np.uint8)
    alpha[:6] = 0
    picture = Image.fromarray(np.concatenate([RGB, alpha], axis=2))
    opaque = load_image(encode(Image.fromarray(RGB), "PNG", icc_profile=P3_PROFILE)).pixels
    decoded = load_image(encode(picture, "PNG", icc_profile=P3_PROFILE))
    assert (decoded.pixels[:6] == 255).all()
    assert np.array_equal(decoded.pixels[6:], opaque[6:])


def test_an_srgb_profile_changes_nothing() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind in ("PNG", "TIFF"):
        decoded = load_image(encode(Image.fromarray(RGB), kind, icc_profile=srgb))
        assert np.array_equal(decoded.pixels, RGB)
        assert decoded.notes == ()


def test_a_grey_picture_may_carry_an_rgb_profile() -> None:
    grey = np.repeat(RGB[:, :, :1], 3, axis=2)
    wanted = load_image(encode(Image.fromarray(grey), "PNG", icc_profile=P3_PROFILE)).pixels
    data = encode(Image.fromarray(RGB[:, :, 0]), "PNG", icc_profile=P3_PROFILE)
    assert np.array_equal(load_image(data).pixels, wanted)


def test_profiles_that_cannot_be_used_leave_a_note() -> None:
    for broken in (b"not a profile", P3_PROFILE[:150]):
        decoded = load_image(encode(Image.fromarray(RGB), "PNG", icc_profile=broken))
        assert len(decoded.notes) == 1
        assert decoded.notes[0].startswith("ICC profile ignored: it is damaged")
        assert np.array_equal(decoded.pixels, RGB)
    decoded = load_image(encode(Image.fromarray(RGB), "PNG", icc_profile=GREY_PROFILE))
    assert decoded.notes == ("ICC profile for GRAY ignored: the pixels are RGB",)
    assert np.array_equal(decoded.pixels, RGB)


@pytest.mark.parametrize("mode", ["HSV", "LAB", "YCbCr", "RGBX"])
def test_rarer_modes_are_converted(mode: str) -> None:
    pixels, notes = to_upright_rgb(Image.new(mode, (5, 4)))
    assert pixels.shape == (4, 5, 3)
    assert notes == []
