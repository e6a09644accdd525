"""Which errors are shown, in which order, and what becomes of their pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from librehps.errors import InputError
from librehps.evaluate.errors_shown import (
    MAX_BYTES,
    MAX_SIDE,
    ShownPicture,
    show_picture,
    worst_errors,
)
from librehps.evaluate.measures import judge_pairs
from librehps.evaluate.pictures import FilePictures, PictureSource
from librehps.evaluate.scored import ScoredPair
from librehps.results import AxisScore


def scored(place: int, gap: float, target: float) -> ScoredPair:
    return ScoredPair(
        suite="s",
        global_index=place,
        for_fitting=False,
        key=str(place),
        prompt="p",
        image_a=f"{place}-a.png",
        image_b=f"{place}-b.png",
        targets={"overall": target},
        votes=5,
        scores_a={"overall": AxisScore(gap)},
        scores_b={"overall": AxisScore(0.0)},
    )


def opened(picture: ShownPicture) -> Image.Image:
    assert picture.data is not None
    head, data = picture.data.split(",", 1)
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


def test_only_pairs_the_wrong_way_round_and_the_furthest_first(tmp_path: Path) -> None:
    rows = [(2.0, 1.0), (2.0, 0.4), (-3.0, 1.0), (1.0, 0.5), (0.0, 1.0), (2.0, 0.4), (0.1, 0.0)]
    pairs = [scored(place, *row) for place, row in enumerate(rows)]
    judged = judge_pairs(pairs, "overall")
    found = worst_errors(pairs, judged, judged.probability, images=tmp_path, most=10)
    assert [one.pair.global_index for one in found] == [2, 6, 1, 5]
    worst, turned = found[:2]
    assert worst.preferred_is_a
    assert (worst.preferred.name, worst.scored_above.name) == ("2-a.png", "2-b.png")
    assert worst.votes_for_other == 1.0
    assert worst.probability == pytest.approx(1 - judged.probability[2])
    assert worst.probability > 0.5
    assert not turned.preferred_is_a
    assert (turned.preferred.name, turned.scored_above.name) == ("6-b.png", "6-a.png")
    assert turned.votes_for_other == 1.0
    assert turned.probability == judged.probability[6] > 0.5
    few = worst_errors(pairs, judged, judged.probability, images=tmp_path, most=1)
    assert [one.pair.global_index for one in few] == [2]
    assert worst_errors(pairs, judged, judged.probability, images=tmp_path, most=0) == []


def test_a_picture_is_small_and_the_same_each_time(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 800, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    picture.save(tmp_path / "noise.png", exif=b"Exif\0\0hidden words")
    found = show_picture("noise.png", tmp_path / "noise.png")
    small = opened(found)
    assert small.size == (found.width, found.height) == (MAX_SIDE, MAX_SIDE // 2)
    assert found == show_picture("noise.png", tmp_path / "noise.png")
    assert found.data is not None
    assert b"hidden" not in base64.b64decode(found.data.split(",")[1])
    Image.fromarray(noise[:40, :30]).save(tmp_path / "little.png")
    assert opened(show_picture("little.png", tmp_path / "little.png")).size == (30, 40)
    Image.fromarray(noise[:2, :400]).save(tmp_path / "thin.png")
    assert opened(show_picture("thin.png", tmp_path / "thin.png")).size == (192, 1)


def test_the_worst_picture_is_within_the_bound(tmp_path: Path) -> None:
    # Black and white at random is what JPEG can do least with.
    noise = np.random.default_rng(0).integers(0, 2, (192, 192, 3), dtype=np.uint8) * 255
    Image.fromarray(noise).save(tmp_path / "noise.png")
    found = show_picture("noise.png", tmp_path / "noise.png")
    assert found.data is not None
    size = len(base64.b64decode(found.data.split(",")[1]))
    assert 10_000 < size <= MAX_BYTES


def test_a_picture_that_is_gone_or_damaged_says_so(tmp_path: Path) -> None:
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    for name, code in (("gone.png", "image_missing"), ("damaged.png", "image_truncated")):
        found = show_picture(name, tmp_path / name)
        assert found.data is None
        assert (found.name, found.width, found.height) == (name, 0, 0)
        assert f"[{code}]" in found.missing
        assert str(tmp_path) not in found.missing


def test_bytes_are_shown_and_what_cannot_be_had_says_why() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), (200, 0, 0)).save(buffer, "PNG")
    assert opened(show_picture("sha256:1", buffer.getvalue())).size == (30, 20)
    gone = show_picture("sha256:1", InputError("no longer there", code="image_changed"))
    assert (gone.data, gone.missing) == (None, "no longer there [image_changed]")


def test_pictures_are_asked_for_at_once_and_each_once(tmp_path: Path) -> None:
    class Asked(FilePictures):
        def __init__(self) -> None:
            self.asked: list[list[str]] = []

        def sources(self, images: Sequence[Path]) -> list[PictureSource | InputError]:
            self.asked.append([image.name for image in images])
            return super().sources(images)

    pairs = [scored(place, 2.0, 0.0) for place in (0, 1, 0)]
    judged, pictures = judge_pairs(pairs, "overall"), Asked()
    found = worst_errors(
        pairs, judged, judged.probability, images=tmp_path, most=3, pictures=pictures
    )
    assert len(found) == 3
    assert pictures.asked == [["0-a.png", "0-b.png", "1-a.png", "1-b.png"]]
