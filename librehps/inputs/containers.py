"""What the bytes of an image file say about it before anything is decoded.

The format is told by content, never by the name. Where a format lets us see damage that its decoder
overlooks (a missing end, a wrong checksum), it is seen here.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from librehps.errors import InputError

__all__ = [
    "FORMATS",
    "MAX_GIF_FRAMES",
    "check_structure",
    "count_gif_frames",
    "describe",
    "sniff",
    "webp_size",
]

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (_PNG_MAGIC, "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
# What people hand over by mistake, and formats that are left out on purpose: their decoders are
# rarely looked at, or run a program (PostScript).
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "PostScript (EPS)"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x01\x00", "an icon (ICO)"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"version https://git-lfs", "a Git LFS pointer, not the picture itself (run `git lfs pull`)"),
)
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
# No encoder writes more than a few dozen; hundreds make a small file take minutes to decode.
_MAX_JPEG_SCANS = 100
# A marker that starts a segment: neither a stuffed 0xFF of the pixel data nor a restart marker.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
MAX_GIF_FRAMES = 1000
# Run lengths of 8 and 4 bits, JPEG and PNG: their length is not known beforehand.
_BMP_PACKED = (1, 2, 4, 5)


def sniff(data: bytes) -> str | None:
    """Return the image format of a file's bytes, one of `FORMATS`, or None."""
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if _brands(data) & {b"avif", b"avis"}:
        return "AVIF"
    return None


def describe(data: bytes) -> str:
    """Return what bytes that are no image look like, such as ``"HTML"``, for a message."""
    for magic, name in _OTHERS:
        if data.startswith(magic):
            return name
    brands = _brands(data)
    if brands:
        return "HEIC" if brands & _HEIF_BRANDS else "an MP4 or QuickTime video"
    head = data[:1024]
    if not head.strip(b"\x00"):
        return "zero bytes"
    if b"\x00" in head:
        return "unknown binary data"
    return _describe_text(head) or "unknown binary data"


def _describe_text(head: bytes) -> str | None:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if re.match(rb"<!doctype html|<html|<head|<body", text):
        return "HTML (an error page of a web server?)"
    if re.match(rb"<(\?xml|!--|svg|!doctype svg)", text):
        return "SVG, which is a drawing and has to be rendered first" if b"<svg" in text else "XML"
    if text[:1] in (b"{", b"["):
        return "JSON"
    printable = all(byte >= 32 or byte in b"\t\r\n" for byte in head)
    # Only what is well-formed up to the cut at the end of `head`, which may go through a character.
    sound = "\ufffd" not in head[:-4].decode("utf-8", "replace")[:-1]
    return "text" if printable and sound and len(head) > 3 else None


def check_structure(data: bytes, kind: str) -> None:
    """Refuse files whose own framing shows that they are cut short or damaged.

    PNG: every chunk is there up to the end chunk, and the checksums of the critical ones are right
    (the decoder ignores those of the pixel data). WebP: as many bytes as the header says. JPEG:
    there is an end marker, and not an absurd number of scans. JPEG has no checksums: damage inside
    its data can decode to a picture with wrong pixels, and nothing can tell. GIF: the data of the
    first picture has its end; BMP: as many rows as the header says, where they are not compressed.
    Pillow sees these too, unless somebody in the process has told it to accept what is cut short.

    Raises:
        InputError: Code ``image_truncated`` or ``image_damaged``.
    """
    if kind == "PNG":
        _check_png(data)
    elif kind == "WEBP":
        declared = struct.unpack_from("<I", data, 4)[0] + 8
        if declared > len(data):
            raise _truncated(f"it declares {declared:,} bytes and has {len(data):,}")
    elif kind == "JPEG":
        _check_jpeg(data)
    elif kind == "GIF":
        _check_gif(data)
    elif kind == "BMP":
        _check_bmp(data)


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return ``(height, width)`` from a WebP header, or None where it is not understood.

    The WebP decoder takes memory for the whole canvas as soon as a file is opened, so its size has
    to be known before that.
    """
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    if chunk == b"VP8X":
        width = int.from_bytes(body[4:7], "little") + 1
        return int.from_bytes(body[7:10], "little") + 1, width
    if chunk == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if chunk == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", body, 6)
        return height & 0x3FFF, width & 0x3FFF
    return None


def count_gif_frames(data: bytes) -> int:
    """Count the pictures in a GIF by walking its blocks; stops at 1000, and at the first damage."""
    frames, position = 0, 13 + _palette_bytes(data, 10)
    while frames < MAX_GIF_FRAMES and position < len(data):
        if data[position] == 0x21:
            position = _skip_blocks(data, position + 2)
        elif data[position] == 0x2C:
            frames += 1
            position = _skip_blocks(data, position + 11 + _palette_bytes(data, position + 9))
        else:
            break
    return frames


def _brands(data: bytes) -> set[bytes]:
    """Return the brands of an ISO media file (AVIF, HEIC, MP4), empty for anything else."""
    if data[4:8] != b"ftyp":
        return set()
    size = min(int.from_bytes(data[:4], "big"), 256)
    return {data[8:12]} | {data[at : at + 4] for at in range(16, size, 4)}


def _png_chunks(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield the start, name and length of each chunk that is wholly there."""
    position = len(_PNG_MAGIC)
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if position + 12 + length > len(data):
            return
        yield position, name, length
        position += 12 + length


def _check_png(data: bytes) -> None:
    view = memoryview(data)
    for position, name, length in _png_chunks(data):
        critical = not name[0] & 0x20
        if critical:
            end = position + 8 + length
            stored = struct.unpack_from(">I", data, end)[0]
            if zlib.crc32(view[position + 4 : end]) != stored:
                raise InputError(
                    f"the PNG is damaged: wrong checksum in its {name.decode('latin-1')!r} chunk "
                    f"at byte {position}",
                    code="image_damaged",
                )
        if name == b"IEND":
            return
    raise _truncated("its end is missing")


def _check_jpeg(data: bytes) -> None:
    position, scans = 2, 0
    while found := _JPEG_MARKER.search(data, position):
        position = found.end()
        marker = data[position - 1]
        if marker == 0xD9:
            return
        scans += marker == 0xDA
        if scans > _MAX_JPEG_SCANS:
            raise InputError(
                f"the JPEG has more than {_MAX_JPEG_SCANS} scans", code="image_damaged"
            )
        position += int.from_bytes(data[position : position + 2], "big")
    raise _truncated("it has no end marker")


def _palette_bytes(data: bytes, position: int) -> int:
    """Return the size of the GIF colour table that the flags at ``position`` announce."""
    if position >= len(data) or not data[position] & 0x80:
        return 0
    return 3 * 2 ** ((data[position] & 7) + 1)


def _check_gif(data: bytes) -> None:
    position = 13 + _palette_bytes(data, 10)
    while position < len(data) and data[position] == 0x21:
        position = _skip_blocks(data, position + 2)
    if position < len(data) and data[position] == 0x2C:
        end = _skip_blocks(data, position + 11 + _palette_bytes(data, position + 9))
        if end > len(data):
            raise _truncated("the data of its first picture has no end")


def _check_bmp(data: bytes) -> None:
    if len(data) < 34:
        raise _truncated(f"it has {len(data)} bytes, fewer than its header")
    start, header = struct.unpack_from("<II", data, 10)
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        packed = False
    else:
        width, height, _, bits, how = struct.unpack_from("<iiHHI", data, 18)
        packed = how in _BMP_PACKED
    # Rows are whole words of 4 bytes; a height below 0 says that the first row is the top one.
    needed = start + (abs(width) * bits + 31) // 32 * 4 * abs(height)
    if not packed and needed > len(data):
        raise _truncated(f"its rows take {needed:,} bytes and it has {len(data):,}")


def _skip_blocks(data: bytes, position: int) -> int:
    """Return where a GIF's chain of data blocks ends."""
    while position < len(data) and data[position]:
        position += data[position] + 1
    return position + 1


def _truncated(found: str) -> InputError:
    return InputError(f"the file is cut short: {found}", code="image_truncated")
