"""Pictures for the readers, made here."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from librehps.data.sources.images import ImageFiles


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """The bytes of a small picture with a grey of its own."""

    def make(grey: int, kind: str = "PNG") -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), (grey, grey, grey)).save(buffer, kind)
        return buffer.getvalue()

    return make


@pytest.fixture
def images(tmp_path: Path) -> ImageFiles:
    """Images below the test's folder, with a cache in it."""
    return ImageFiles(tmp_path, cache=tmp_path / "cache")
