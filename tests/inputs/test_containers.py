from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from librehps.errors import InputError
from librehps.inputs.containers import (
    check_structure,
    count_gif_frames,
    describe,
    sniff,
    webp_size,
)


def encode(kind: str, **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"])
def test_formats_are_told_by_content(kind: str) -> None:
    data = encode(kind)
    assert sniff(data) == kind
    check_structure(data, kind)
    check_structure(data + b"what a careless upload appends", kind)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", "HTML"),
        (b"\xef\xbb\xbf\n <HTML>", "HTML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"<?xml version='1.0'?><feed/>", "XML"),
        (b"%PDF-1.7\n", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"8BPS\x00\x01", "Photoshop"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isomavc1", "video"),
        (b"PK\x03\x04", "ZIP"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b'{"error": "not found"}', "JSON"),
        ("Größe, größer, am größten".encode(), "text"),
        (("ä" * 2000).encode(), "text"),
        (b"\x00" * 5000, "zero bytes"),
        (b"\x01", "unknown"),
        (b"\xfe\xdc\xba\x98" * 9, "unknown"),
        (b"DanM\x00\x01\x00\x01", "unknown"),
    ],
)
def test_other_things_are_named(data: bytes, name: str) -> None:
    assert sniff(data) is None
    assert name in describe(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_file_that_lacks_its_last_bytes_is_cut_short(kind: str) -> None:
    data = encode(kind)
    for missing in (1, 2, 7, len(data) // 2):
        with pytest.raises(InputError) as caught:
            check_structure(data[:-missing], kind)
        assert caught.value.code == "image_truncated"


def test_an_end_marker_in_the_metadata_does_not_count() -> None:
    data = encode("JPEG", comment=b"a thumbnail would end in \xff\xd9 here")
    check_structure(data, "JPEG")
    with pytest.raises(InputError) as caught:
        check_structure(data[:-2], "JPEG")
    assert caught.value.code == "image_truncated"


def test_scans_in_the_metadata_do_not_count() -> None:
    check_structure(encode("JPEG", comment=b"\xff\xda" * 500), "JPEG")


def test_a_jpeg_of_countless_scans_is_refused() -> None:
    data = encode("JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    bomb = data[:last] + data[last:-2] * 200 + b"\xff\xd9"
    with pytest.raises(InputError, match="more than 100 scans") as caught:
        check_structure(bomb, "JPEG")
    assert caught.value.code == "image_damaged"


def test_a_flipped_bit_in_png_pixels_is_seen() -> None:
    data = bytearray(encode("PNG"))
    data[data.index(b"IDAT") + 100] ^= 1
    with pytest.raises(InputError, match="checksum in its 'IDAT' chunk") as caught:
        check_structure(bytes(data), "PNG")
    assert caught.value.code == "image_damaged"


def test_a_wrong_checksum_of_a_side_remark_is_let_pass() -> None:
    data = encode("PNG")
    chunk = struct.pack(">I4s", 2, b"tEXt") + b"a\x00"
    at = data.index(b"IDAT") - 4
    check_structure(data[:at] + chunk + b"\x00" * 4 + data[at:], "PNG")
    good = chunk + struct.pack(">I", zlib.crc32(chunk[4:]))
    check_structure(data[:at] + good + data[at:], "PNG")


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\x00\x00II*\x00"}])
def test_webp_sizes_are_read_from_each_kind_of_header(options: dict[str, object]) -> None:
    assert webp_size(encode("WEBP", **options)) == (24, 40)


def test_webp_headers_that_are_not_understood() -> None:
    assert webp_size(b"RIFF\x00\x00\x00\x00WEBPVP8X") is None
    assert webp_size(b"RIFF\x00\x00\x00\x00WEBPWHAT" + bytes(20)) is None


@pytest.mark.parametrize("frames", [1, 2, 12])
def test_gif_frames_are_counted(frames: int) -> None:
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)) for _ in range(frames)]
    file = io.BytesIO()
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:])
    data = file.getvalue()
    assert count_gif_frames(data) == frames
    for cut in range(len(data)):
        assert count_gif_frames(data[:cut]) <= frames


def test_counting_gif_frames_ends() -> None:
    assert count_gif_frames(b"GIF89a" + bytes(7) + (b"\x2c" + bytes(11)) * 5000) == 1000
