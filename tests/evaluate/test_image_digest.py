"""A picture is named by its bytes, and what is none is not read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from librehps.errors import InputError
from librehps.evaluate.image_digest import image_digest
from librehps.inputs.limits import ImageLimits


def test_the_bytes_decide_and_not_the_name(tmp_path: Path) -> None:
    for name, data in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(data)
    a, b, c = (image_digest(tmp_path / name) for name in "abc")
    assert a == b != c


def test_what_is_no_image_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(bytes(100))
    found: list[str] = []
    for name in ("nowhere", "pipe", ".", "large", "large/inside"):
        with pytest.raises(InputError) as caught:
            image_digest(tmp_path / name, limits=ImageLimits(max_bytes=99))
        found.append(caught.value.code)
    assert found == [
        "image_missing",
        "image_not_a_file",
        "image_not_a_file",
        "image_too_large",
        "image_missing",
    ]
