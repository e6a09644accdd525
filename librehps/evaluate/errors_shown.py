"""The worst errors of a scorer, with their pictures made small enough to stand within a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from librehps.calibration.pairs import Numbers
from librehps.errors import InputError
from librehps.evaluate.judged import JudgedPairs
from librehps.evaluate.pictures import FilePictures, Pictures, PictureSource
from librehps.evaluate.scored import ScoredPair
from librehps.inputs.image import load_image

__all__ = ["ShownError", "ShownPicture", "show_picture", "worst_errors"]

#: Longest side of a small picture, in px.
MAX_SIDE = 192
#: Most bytes of one. 48 of them, in base64, are 1.9 MB.
MAX_BYTES = 30_000
# Tried from the first to the last until a picture is small enough.
_QUALITIES = (82, 65, 45, 25, 10)


@dataclass(frozen=True)
class ShownPicture:
    """A picture as a page shows it.

    Args:
        name: Its file, relative to the benchmark's folder; its SHA-256 where it has none.
        data: A ``data:`` URI with a JPEG of at most 192 px a side, or ``None`` where there is none.
        width: Of that, in px; 0 where there is none.
        height: Of that, in px; 0 where there is none.
        missing: Why there is none; empty where there is one.
    """

    name: str
    data: str | None
    width: int
    height: int
    missing: str


@dataclass(frozen=True)
class ShownError:
    """A pair that a scorer has the wrong way round.

    Args:
        pair: The pair.
        probability: What was stated for the picture that people did not prefer, in [0, 1].
        votes_for_other: Share of the votes for the picture that they did prefer, above one half.
        preferred: The picture that they did prefer.
        scored_above: The other one, which the scorer puts above it.
        preferred_is_a: Whether people prefer the pair's first.
    """

    pair: ScoredPair
    probability: float
    votes_for_other: float
    preferred: ShownPicture
    scored_above: ShownPicture
    preferred_is_a: bool


def worst_errors(
    pairs: Sequence[ScoredPair],
    judged: JudgedPairs,
    probability: Numbers,
    *,
    images: Path,
    most: int,
    pictures: Pictures | None = None,
) -> list[ShownError]:
    """Return the pairs that are the wrong way round, the furthest from the votes first.

    How far is the gap between the probability that was stated and the share of votes. Pairs that
    are as far keep their order, so that the same pairs give the same page.

    Args:
        pairs: Scored pairs, ``N`` of them.
        judged: The same on one axis.
        probability: Stated probability that ``a`` is preferred, ``[N]``.
        images: Folder that the names of pictures are relative to.
        most: Most errors that are returned.
        pictures: Finds the pictures; they are files if ``None``.
    """
    wrong = np.flatnonzero(judged.preferred * judged.scored == -1)
    gap = np.abs(probability - judged.target)[wrong]
    order = wrong[np.argsort(-gap, kind="stable")][:most].tolist()
    names = dict.fromkeys(
        name for place in order for name in (pairs[place].image_a, pairs[place].image_b)
    )
    # All at once: pictures that stand in rows are then found in one pass over those.
    sources = (pictures or FilePictures()).sources([images / name for name in names])
    shown = {name: show_picture(name, source) for name, source in zip(names, sources, strict=True)}
    found: list[ShownError] = []
    for place in order:
        pair, first = pairs[place], bool(judged.preferred[place] > 0)
        stated, votes = float(probability[place]), float(judged.target[place])
        preferred, above = (pair.image_a, pair.image_b) if first else (pair.image_b, pair.image_a)
        found.append(
            ShownError(
                pair=pair,
                probability=1.0 - stated if first else stated,
                votes_for_other=votes if first else 1.0 - votes,
                preferred=shown[preferred],
                scored_above=shown[above],
                preferred_is_a=first,
            )
        )
    return found


def show_picture(name: str, source: PictureSource | InputError) -> ShownPicture:
    """Return a small copy of a picture; one that cannot be read any more says why.

    It is decoded as for scoring: typed by its content, bounded, upright, in sRGB. The copy is a new
    JPEG of its pixels, so that nothing else that the file holds gets into a page.

    Args:
        name: What it is called.
        source: Its file, its bytes, or why there is neither.
    """
    try:
        if isinstance(source, InputError):
            raise source
        pixels = load_image(source).pixels
    except InputError as error:
        return ShownPicture(name, None, 0, 0, f"{error.message} [{error.code}]")
    small = Image.fromarray(pixels)
    small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    data = _jpeg(small)
    encoded = base64.b64encode(data).decode("ascii")
    return ShownPicture(name, f"data:image/jpeg;base64,{encoded}", small.width, small.height, "")


def _jpeg(picture: Image.Image) -> bytes:
    """Return the bytes of a JPEG, at the best quality that is small enough."""
    data = b""
    for quality in _QUALITIES:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality, optimize=True)
        data = file.getvalue()
        if len(data) <= MAX_BYTES:
            break
    return data
