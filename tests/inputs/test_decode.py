"""Hostile files: whatever the bytes are, the answer is a picture or an InputError."""

from __future__ import annotations

import io
import random
import resource
import struct
import threading
import tracemalloc
import warnings
import zlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageFile

from librehps.errors import InputError
from librehps.inputs.decode import decode_bytes, decode_picture
from librehps.inputs.limits import ImageLimits

LIMITS = ImageLimits()
RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (20, 28, 3), dtype=np.uint8)
KINDS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")


def encode(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, **options)
    return file.getvalue()


def animation(kind: str, frames: int) -> bytes:
    pictures = [Image.new("RGB", (16, 12), (20 * k, 250 - 20 * k, 7)) for k in range(frames)]
    file = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    pictures[0].save(file, kind, save_all=True, append_images=pictures[1:], **options)
    return file.getvalue()


def refusal(data: bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        decode_bytes(data, limits=LIMITS)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_decodes(kind: str) -> None:
    decoded = decode_bytes(encode(kind), limits=LIMITS)
    assert decoded.format == kind
    assert decoded.pixels.shape == (20, 28, 3)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.notes == ()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_every_cut_is_noticed(kind: str) -> None:
    data = encode(kind)
    assert refusal(b"").code == "image_empty"
    for cut in (*range(8, len(data) - 8, 37), *range(len(data) - 8, len(data))):
        assert refusal(data[:cut]).code == "image_truncated", cut


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0, "quality": 100}])
def test_every_cut_of_other_jpegs_is_noticed(options: dict[str, object]) -> None:
    data = encode("JPEG", **options)
    for cut in (*range(3, len(data), 41), len(data) - 1):
        assert refusal(data[:cut]).code == "image_truncated", cut


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "GIF", "BMP", "TIFF"])
def test_half_a_file_of_the_other_formats_is_refused(kind: str) -> None:
    data = encode(kind)
    error = refusal(data[: len(data) // 2])
    assert error.code in {"image_truncated", "image_damaged"}
    assert kind in error.message or "cut short" in error.message


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_what_another_library_accepts_is_not_accepted_here(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode(kind)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert decode_bytes(data, limits=ImageLimits()).pixels.shape == (20, 28, 3)
    for cut in (len(data) * 2 // 3, len(data) - 40):
        assert refusal(data[:cut]).code == "image_truncated"


@pytest.mark.parametrize("kind", [2, 5, 12])
def test_strips_that_are_no_numbers_are_damage(kind: int) -> None:
    data = bytearray(encode("TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    for entry in range(struct.unpack_from("<H", data, first)[0]):
        at = first + 2 + 12 * entry
        if struct.unpack_from("<H", data, at)[0] in (273, 279):
            # Text, fractions or floats in the place of offsets and lengths.
            struct.pack_into("<H", data, at + 2, kind)
    assert refusal(bytes(data)).code in {"image_truncated", "image_damaged"}


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA"])
def test_bitmaps_of_every_depth_are_whole(mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (37, 41)).save(file, "BMP")
    data = file.getvalue()
    assert decode_bytes(data, limits=ImageLimits()).pixels.shape == (41, 37, 3)
    assert refusal(data[:-1]).code == "image_truncated"
    assert refusal(data[:20]).code == "image_truncated"


def test_a_wrong_checksum_is_damage() -> None:
    data = bytearray(encode("PNG"))
    data[20] ^= 0x40  # in the header chunk
    assert refusal(bytes(data)).code == "image_damaged"
    data = bytearray(encode("PNG"))
    data[data.index(b"IDAT") + 50] ^= 1
    assert refusal(bytes(data)).code == "image_damaged"


def test_the_cause_of_a_refusal_is_kept() -> None:
    error = refusal(encode("AVIF")[:300])
    assert error.__cause__ is not None


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_taken_and_said_so(kind: str) -> None:
    decoded = decode_bytes(animation(kind, 12), limits=LIMITS)
    assert decoded.notes == ("first of 12 frames",)
    assert (decoded.pixels == [0, 250, 7]).all()


def test_the_first_page_of_a_document_is_taken_and_said_so() -> None:
    decoded = decode_bytes(animation("TIFF", 3), limits=LIMITS)
    assert decoded.notes == ("first of 3 pages",)
    assert (decoded.pixels == [0, 250, 7]).all()
    assert decode_bytes(animation("TIFF", 120), limits=LIMITS).notes == (
        "first of 100 or more pages",
    )


def test_a_jpeg_with_a_second_picture_is_a_jpeg() -> None:
    decoded = decode_bytes(animation("MPO", 2), limits=LIMITS)
    assert decoded.format == "JPEG"
    assert decoded.notes == ("first of 2 pictures",)


def test_a_pillow_picture_is_read_at_its_frame() -> None:
    picture = Image.open(io.BytesIO(animation("GIF", 5)))
    picture.seek(3)
    decoded = decode_picture(picture, limits=LIMITS)
    assert decoded.notes == ("frame 4 of 5",)
    assert (decoded.pixels == [60, 190, 7]).all()
    assert picture.tell() == 3


def test_a_pillow_picture_may_be_damaged_too() -> None:
    picture = Image.open(io.BytesIO(encode("PNG")[:400]))
    with pytest.raises(InputError) as caught:
        decode_picture(picture, limits=LIMITS)
    assert caught.value.code == "image_truncated"


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + data + b"\x00\x00\x00\x00IDAT\x35\xaf\x06\x1e"


def bombs() -> dict[str, bytes]:
    gif = b"GIF89a" + struct.pack("<HH", 60000, 60000) + b"\x00\x00\x00"
    gif += b"\x2c" + struct.pack("<HHHH", 0, 0, 10000, 10000) + b"\x00\x08\x00\x3b"
    bmp = b"BM" + bytes(8) + struct.pack("<IIiiHHIIIIII", 54, 40, 30000, 30000, 1, 24, *[0] * 6)
    jpeg = bytearray(encode("JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 60000, 60000)
    tiff = bytearray(encode("TIFF"))
    for tag in (256, 257):
        at = tiff.index(struct.pack("<HHI", tag, 4, 1))
        tiff[at + 8 : at + 12] = struct.pack("<I", 30000)
    webp = (
        b"RIFF\x1e\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00" + bytes(4) + b"\xff\x3f\x00" * 2 + bytes(8)
    )
    return {
        "PNG": png_header(30000, 30000),
        "PNG of 2**31": png_header(2**31 - 1, 2**31 - 1),
        "PNG of 60 megapixels": png_header(10000, 6000),
        "PNG of 100 megapixels": png_header(10000, 10000),
        "GIF": gif,
        "BMP": bmp,
        "JPEG": bytes(jpeg),
        "TIFF": bytes(tiff),
        "WEBP": webp,
    }


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused_before_it_takes_memory(name: str) -> None:
    data = bombs()[name]
    decode_bytes(
        encode(name.split(maxsplit=1)[0]), limits=LIMITS
    )  # what Pillow loads once does not count
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    error = refusal(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.code == "image_too_large"
    assert peak < 2**20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024  # in KiB


def test_a_webp_bomb_is_not_even_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    # Opening one reserves two canvases, which need not show in the resident memory.
    monkeypatch.setattr("librehps.inputs.decode._OPENERS", {})
    assert refusal(bombs()["WEBP"]).code == "image_too_large"


def test_too_many_bytes_are_refused_before_decoding() -> None:
    with pytest.raises(InputError) as caught:
        decode_bytes(encode("PNG"), limits=ImageLimits(max_bytes=100))
    assert caught.value.code == "image_too_large"


@pytest.mark.parametrize(
    ("size", "code"),
    [
        ((1, 1), "image_too_small"),
        ((1, 20000), "image_aspect_ratio"),
        ((2, 401), "image_aspect_ratio"),
    ],
)
def test_points_and_threads_are_refused(size: tuple[int, int], code: str) -> None:
    for turned in (size, size[::-1]):
        file = io.BytesIO()
        Image.new("RGB", turned).save(file, "PNG")
        assert refusal(file.getvalue()).code == code
        with pytest.raises(InputError) as caught:
            decode_picture(Image.new("RGB", turned), limits=LIMITS)
        assert caught.value.code == code


def test_memory_that_runs_out_has_its_own_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(picture: Image.Image, *, depth: int | None) -> None:
        raise MemoryError

    monkeypatch.setattr("librehps.inputs.decode.to_upright_rgb", exhausted)
    error = refusal(encode("PNG"))
    assert "memory ran out" in error.message
    assert error.code == "image_memory"


def mutations(count: int) -> list[bytes]:
    """Return damaged files: flipped bytes, cut ends, cut middles, repeated and foreign parts."""
    chance = random.Random(20)
    seeds = [encode(kind) for kind in KINDS if kind != "AVIF"]
    seeds += [encode("TIFF", compression="tiff_lzw"), encode("TIFF", compression="jpeg")]
    seeds += [animation("GIF", 3), animation("WEBP", 3), animation("PNG", 3), encode("AVIF")]
    exif = Image.Exif()
    exif[0x0112] = 6
    seeds += [encode("JPEG", progressive=True, exif=exif), encode("PNG", exif=exif)]
    files: list[bytes] = []
    while len(files) < count:
        data = bytearray(chance.choice(seeds))
        # Headers are where decoders break, so half of all damage goes there.
        reach = min(len(data), 120) if chance.random() < 0.5 else len(data)
        at = chance.randrange(reach)
        match chance.randrange(6):
            case 0:
                for _ in range(chance.randint(1, 8)):
                    data[chance.randrange(reach)] = chance.randrange(256)
            case 1:
                data[at] ^= 1 << chance.randrange(8)
            case 2:
                del data[at:]
            case 3:
                del data[at : at + chance.randint(1, 40)]
            case 4:
                data[at:at] = data[at : at + chance.randint(1, 64)]
            case _:
                data[at : at + 4] = chance.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4)])
        files.append(bytes(data))
    return files


def test_mutated_files_give_a_picture_or_a_typed_error() -> None:
    outcomes: Counter[str] = Counter()
    limits = ImageLimits(max_pixels=1_000_000)
    refusals: list[InputError] = []
    for data in mutations(1500):
        try:
            decoded = decode_bytes(data, limits=limits)
        except InputError as error:
            refusals.append(error)
        else:
            outcomes["picture"] += 1
            assert decoded.pixels.ndim == 3
            assert decoded.pixels.shape[2] == 3
    for refused in refusals:
        outcomes[refused.code] += 1
        assert refused.code.startswith("image_")
        assert len(str(refused)) < 400
    # The mutations are worth something only if they reach every stage.
    assert {"picture", "image_truncated", "image_damaged", "image_unrecognized"} <= set(outcomes)


def noisy_jpeg() -> bytes:
    """Return a picture whose EXIF data makes Pillow warn."""
    return encode(
        "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff" + b"\x0f\x01\x02\x00" * 3
    )


def test_pillow_s_warnings_do_not_leak() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        decode_bytes(noisy_jpeg(), limits=LIMITS)
        refusal(png_header(10000, 10000))
    assert seen == []
    with pytest.warns(UserWarning, match=r"."):
        Image.open(io.BytesIO(noisy_jpeg())).getexif()


def test_threads_decode_at_once_and_leave_the_warning_filters_alone() -> None:
    before = list(warnings.filters)
    switches = (Image.MAX_IMAGE_PIXELS, warnings.showwarning)
    data = [noisy_jpeg(), encode("PNG"), encode("WEBP"), png_header(10000, 10000)]
    results: list[str] = []

    def work(offset: int) -> None:
        for turn in range(20):
            try:
                results.append(decode_bytes(data[(turn + offset) % 4], limits=LIMITS).format)
            except InputError as error:
                results.append(error.code)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(results) == {"JPEG": 20, "PNG": 20, "WEBP": 20, "image_too_large": 20}
    assert list(warnings.filters) == before
    assert switches == (Image.MAX_IMAGE_PIXELS, warnings.showwarning)
