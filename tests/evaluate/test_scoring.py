"""Scoring many items: once each, in fixed chunks, with bad ones counted and not put in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from librehps.errors import InputError
from librehps.evaluate.identity import ScorerIdentity
from librehps.evaluate.pictures import PictureSource
from librehps.evaluate.score_cache import Outcome, ScoreCache
from librehps.evaluate.scoring import PASSING, BadItem, Item, score_items
from librehps.results import AxisScore, Score

IDENTITY = ScorerIdentity("sha256:1")


class Drifting:
    """Scores by the length of the file, and in its last bits by what is scored with it."""

    def __init__(self, *, deterministic: bool = False) -> None:
        self.deterministic = deterministic
        self.asked: list[list[str]] = []

    def score_images(
        self,
        *,
        images: Sequence[Path],
        prompts: Sequence[str],
        on_error: str,
        max_batch_tokens: int,
    ) -> list[Outcome]:
        assert on_error == "return"
        self.asked.append([image.name for image in images])
        shift = 0.0 if self.deterministic else 1e-9 * len(images)
        return [
            InputError("is no image", code="image_damaged", item="images[0]")
            if image.name.startswith("bad")
            else Score(overall=AxisScore(image.stat().st_size + len(prompt) + shift))
            for image, prompt in zip(images, prompts, strict=True)
        ]


def items(folder: Path, names: Sequence[str], prompt: str = "p") -> list[Item]:
    for place, name in enumerate(names):
        if not name.startswith("missing"):
            (folder / name).write_bytes(bytes([place]) * (place + 1))
    return [Item(folder / name, prompt) for name in names]


def score(scorer: Drifting, wanted: Sequence[Item], folder: Path, **how: float) -> dict[str, float]:
    with ScoreCache(folder / "cache", IDENTITY) as cache:
        found = score_items(scorer, wanted, cache, chunk=4, max_bad_share=how.get("share", 1.0))
    return {
        item.image.name: outcome.axis("overall").mean
        for item, outcome in found.items()
        if isinstance(outcome, Score)
    }


def test_each_is_scored_once_and_never_again(tmp_path: Path) -> None:
    scorer = Drifting()
    wanted = items(tmp_path, [f"{n}.png" for n in range(6)])
    first = score(scorer, [*wanted, *wanted], tmp_path)
    assert [len(asked) for asked in scorer.asked] == [4, 2]
    assert score(scorer, wanted, tmp_path) == first
    assert len(scorer.asked) == 2
    # The same bytes under another name are the same picture; another prompt is another item.
    (tmp_path / "copy.png").write_bytes((tmp_path / "3.png").read_bytes())
    copied = score(scorer, [Item(tmp_path / "copy.png", "p")], tmp_path)
    assert (copied["copy.png"], len(scorer.asked)) == (first["3.png"], 2)
    score(scorer, [Item(tmp_path / "3.png", "q")], tmp_path)
    assert scorer.asked[2:] == [["3.png"]]


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path) -> None:
    wanted = items(tmp_path, [f"{n}.png" for n in range(10)])
    whole = score(Drifting(), wanted, tmp_path)
    path = next((tmp_path / "cache").glob("*.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in range(len(lines)):
        path.write_bytes(b"".join(lines[:kept]) + lines[kept][:20])
        assert score(Drifting(), wanted, tmp_path) == whole
        assert sorted(path.read_bytes().splitlines(keepends=True)) == sorted(lines)


def test_one_that_is_deterministic_computes_only_what_is_missing(tmp_path: Path) -> None:
    wanted = items(tmp_path, [f"{n}.png" for n in range(8)])
    scorer = Drifting(deterministic=True)
    score(scorer, wanted[1:3], tmp_path)
    score(scorer, wanted, tmp_path)
    assert scorer.asked == [
        ["1.png", "2.png"],
        ["0.png", "3.png"],
        ["4.png", "5.png", "6.png", "7.png"],
    ]


def test_bad_items_are_told_and_nothing_takes_their_place(tmp_path: Path) -> None:
    names = ["0.png", "missing.png", "bad.png", *(f"{n}.png" for n in range(3, 8))]
    wanted, scorer = items(tmp_path, names), Drifting()
    told: list[BadItem] = []
    with ScoreCache(tmp_path / "cache", IDENTITY) as cache:
        found = score_items(scorer, wanted, cache, max_bad_share=0.25, on_bad=told.append)
    assert list(found) == [wanted[1], *(item for item in wanted if item is not wanted[1])]
    assert [(bad.item.image.name, bad.error.code) for bad in told] == [
        ("missing.png", "image_missing"),
        ("bad.png", "image_damaged"),
    ]
    # That it is bad is known from the bytes too: it is not decoded again.
    with ScoreCache(tmp_path / "cache", IDENTITY) as cache:
        again = score_items(scorer, wanted, cache, max_bad_share=0.25)
        assert isinstance(again[wanted[2]], InputError)
    assert len(scorer.asked) == 1
    with pytest.raises(InputError, match="2 of 8 items have no score") as caught:
        score(Drifting(), wanted, tmp_path, share=0.2)
    assert caught.value.code == "evaluation_bad_items"


def test_a_file_that_changes_meanwhile_is_never_kept(tmp_path: Path) -> None:
    class Changing(Drifting):
        def score_images(
            self,
            *,
            images: Sequence[Path],
            prompts: Sequence[str],
            on_error: str,
            max_batch_tokens: int,
        ) -> list[Outcome]:
            images[0].write_bytes(b"something else")
            return super().score_images(
                images=images,
                prompts=prompts,
                on_error=on_error,
                max_batch_tokens=max_batch_tokens,
            )

    wanted = items(tmp_path, ["0.png", "1.png"])
    with ScoreCache(tmp_path / "cache", IDENTITY) as cache:
        found = score_items(Changing(), wanted, cache, max_bad_share=1.0)
        assert len(cache) == 1
    changed = found[wanted[0]]
    assert isinstance(changed, InputError)
    assert changed.code == "image_changed"


def test_pictures_that_are_no_files_are_handed_over_as_bytes(tmp_path: Path) -> None:
    class Given:
        """Three pictures, of which one is gone when it is to be scored."""

        def digest(self, image: Path) -> str:
            return image.name

        def sources(self, images: Sequence[Path]) -> list[PictureSource | InputError]:
            return [
                InputError("gone", code="image_changed") if image.name == "2" else b"x" * 9
                for image in images
            ]

    class ByBytes:
        deterministic = True

        def __init__(self) -> None:
            self.asked: list[Sequence[PictureSource]] = []

        def score_images(
            self,
            *,
            images: Sequence[PictureSource],
            prompts: Sequence[str],
            on_error: str,
            max_batch_tokens: int,
        ) -> list[Outcome]:
            self.asked.append(images)
            return [Score(overall=AxisScore(float(len(str(image))))) for image in images]

    wanted = [Item(Path(name), "p") for name in ("1", "2", "3")]
    scorer = ByBytes()
    with ScoreCache(tmp_path / "cache", IDENTITY) as cache:
        found = score_items(scorer, wanted, cache, pictures=Given(), max_bad_share=0.5)
        # What is gone is not kept: it may be back the next time.
        assert len(cache) == 2
    assert scorer.asked == [[b"x" * 9] * 2]
    gone = found[wanted[1]]
    assert isinstance(gone, InputError)
    assert gone.code == "image_changed"
    with ScoreCache(tmp_path / "none", IDENTITY) as cache:
        score_items(scorer, wanted[1:2], cache, pictures=Given(), max_bad_share=1.0)
    assert len(scorer.asked) == 1


@pytest.mark.parametrize("code", sorted(PASSING))
def test_what_is_wrong_with_the_machine_is_not_kept(tmp_path: Path, code: str) -> None:
    class Failing(Drifting):
        def score_images(self, **given: Any) -> list[Outcome]:
            return [InputError("not now", code=code) for _ in given["images"]]

    wanted = items(tmp_path, ["0.png", "1.png"])
    assert score(Failing(), wanted, tmp_path) == {}
    assert score(Drifting(), wanted, tmp_path).keys() == {"0.png", "1.png"}
