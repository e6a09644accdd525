"""The entry point: paths, and every type that a picture may come as."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import librehps.inputs.image as module
from librehps.errors import InputError
from librehps.inputs.image import ImageLimits, load_image

PIXELS = np.random.default_rng(5).integers(0, 256, (16, 24, 3), dtype=np.uint8)


def encode(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind)
    return file.getvalue()


def refusal(source: object, **options: ImageLimits) -> InputError:
    with pytest.raises(InputError) as caught:
        load_image(source, **options)
    return caught.value


def test_one_picture_from_every_kind_of_source(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encode("PNG"))
    data = encode("PNG")
    tensor = torch.from_numpy(PIXELS).permute(2, 0, 1)
    sources = {
        "PNG": [path, str(path), data, bytearray(data), memoryview(data)],
        "PIL": [Image.fromarray(PIXELS)],
        "array": [PIXELS],
        "tensor": [tensor, tensor[None], tensor.float() / 255],
    }
    for kind, variants in sources.items():
        for source in variants:
            decoded = load_image(source)
            assert decoded.format == kind
            assert np.array_equal(decoded.pixels, PIXELS)
            assert decoded.notes == ()


def test_a_lazily_opened_pillow_file(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encode("PNG"))
    with Image.open(path) as picture:
        assert np.array_equal(load_image(picture).pixels, PIXELS)


@pytest.mark.parametrize("source", [None, 42, 3.5, ["cat.png"], {"url": "x"}, io.BytesIO(b"x")])
def test_other_types_are_refused(source: object) -> None:
    error = refusal(source)
    assert error.code == "image_type"
    assert type(source).__name__ in error.message


@pytest.mark.parametrize(
    "name", ["absent.png", "no/such/folder.png", "with\x00zero.png", "lone\ud800surrogate.png", ""]
)
def test_missing_files(tmp_path: Path, name: str) -> None:
    error = refusal(f"{tmp_path}/{name}" if name else name)
    assert error.code == "image_missing"
    assert error.item is not None
    assert error.item.endswith(name)


def test_a_file_used_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode("PNG"))
    assert refusal(tmp_path / "a.png" / "b.png").code == "image_missing"


def test_an_endless_name_is_cut_in_the_message(tmp_path: Path) -> None:
    error = refusal("x" * 100_000)
    assert error.code == "image_unreadable"
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    "url", ["http://example.com/a.png", "HTTPS://x/y", "s3://b/k", "file:///etc/passwd", "data:,x"]
)
def test_urls_are_not_fetched(url: str) -> None:
    error = refusal(url)
    assert error.code == "image_missing"
    assert "not fetched" in error.message


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket.png"))
        (tmp_path / "link.png").symlink_to(tmp_path / "pipe.png")
        for path, kind in (
            (tmp_path, "a folder"),
            (tmp_path / "pipe.png", "a pipe"),
            (tmp_path / "link.png", "a pipe"),
            (tmp_path / "socket.png", "a socket"),
            (Path("/dev/zero"), "a device"),
        ):
            error = refusal(path)
            assert error.code == "image_not_a_file"
            assert kind in error.message
            assert error.item == str(path)


def test_a_pipe_that_takes_a_file_s_place_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encode("PNG"))
    check = module._check_regular
    calls: list[int] = []

    def swap(status: os.stat_result) -> None:
        check(status)
        calls.append(status.st_mode)
        if len(calls) == 1:
            path.unlink()
            os.mkfifo(path)

    monkeypatch.setattr(module, "_check_regular", swap)
    assert refusal(path).code == "image_not_a_file"


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encode("PNG"))

    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module.os, "open", denied)
    error = refusal(path)
    assert error.code == "image_unreadable"
    assert "Permission denied" in error.message


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"", "image_empty", "0 bytes"),
        (b"\x89", "image_unrecognized", "1 bytes"),
        (b"<!doctype html><p>404", "image_unrecognized", "HTML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image_unrecognized", "SVG"),
        (b"%PDF-1.7", "image_unrecognized", "PDF"),
        (b"just some words", "image_unrecognized", "text"),
        (encode("PNG")[:-20], "image_truncated", "cut short"),
        (encode("JPEG")[:-20], "image_truncated", "cut short"),
        (encode("PPM"), "image_unrecognized", "formats are JPEG, PNG"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes, code: str, says: str) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    error = refusal(path)
    assert error.code == code
    assert says in error.message
    assert str(error).startswith(f"{path}: ")
    assert refusal(content).item is None


@pytest.mark.parametrize(
    ("name", "kind", "noted"),
    [
        ("picture.png", "JPEG", True),
        ("picture.JPG", "PNG", True),
        ("picture.heic", "JPEG", True),
        ("picture.jpg", "WEBP", True),
        ("picture.jpeg", "JPEG", False),
        ("picture.TIF", "TIFF", False),
        ("picture", "JPEG", False),
        ("picture.tmp", "JPEG", False),
    ],
)
def test_a_wrong_suffix_is_read_with_a_note(
    tmp_path: Path, name: str, kind: str, noted: bool
) -> None:
    path = tmp_path / name
    path.write_bytes(encode(kind))
    decoded = load_image(path)
    assert decoded.format == kind
    suffix = path.suffix.lower()
    assert decoded.notes == ((f"the name ends in {suffix}, the file is {kind}",) * noted)


def test_large_files_are_refused_by_their_size_alone(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(b"")
    os.truncate(path, 2**40)  # sparse
    assert refusal(path).code == "image_too_large"
    path.write_bytes(encode("PNG"))
    limits = ImageLimits(max_bytes=len(encode("PNG")))
    assert load_image(path, limits=limits).format == "PNG"
    tight = ImageLimits(max_bytes=len(encode("PNG")) - 1)
    assert refusal(path, limits=tight).code == "image_too_large"


def test_limits_reach_every_kind_of_source() -> None:
    limits = ImageLimits(max_pixels=100)
    tensor = torch.from_numpy(PIXELS).permute(2, 0, 1)
    for source in (encode("PNG"), Image.fromarray(PIXELS), PIXELS, tensor):
        assert refusal(source, limits=limits).code == "image_too_large"
