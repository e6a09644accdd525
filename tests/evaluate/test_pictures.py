"""Pictures that are files: their SHA-256, and that they are handed on as they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from librehps.errors import InputError
from librehps.evaluate.pictures import FilePictures, Pictures


def test_files_are_named_by_their_bytes_and_handed_on(tmp_path: Path) -> None:
    pictures: Pictures = FilePictures()
    assert isinstance(pictures, Pictures)
    (tmp_path / "a.png").write_bytes(b"bytes")
    assert pictures.digest(tmp_path / "a.png") == hashlib.sha256(b"bytes").hexdigest()
    wanted = [tmp_path / "a.png", tmp_path / "gone.png"]
    assert pictures.sources(wanted) == wanted
    with pytest.raises(InputError) as caught:
        pictures.digest(wanted[1])
    assert caught.value.code == "image_missing"
