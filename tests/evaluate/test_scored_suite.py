"""From records to scores: each picture once, and a record that lacks one left out whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from librehps.data.records import Comparison, Ranking, Rating
from librehps.data.sources import Record
from librehps.errors import ConfigError, InputError
from librehps.evaluate.identity import ScorerIdentity
from librehps.evaluate.pictures import PictureSource
from librehps.evaluate.score_cache import Outcome, ScoreCache
from librehps.evaluate.scored_suite import ScoredSuite, score_suite
from librehps.evaluate.scoring import BadItem
from librehps.evaluate.suite import Case, SuiteData
from librehps.results import AxisScore, Score


class BySize:
    """Scores by the size of the file."""

    deterministic = True

    def __init__(self) -> None:
        self.scored = 0

    def score_images(
        self,
        *,
        images: Sequence[PictureSource],
        prompts: Sequence[str],
        on_error: str,
        max_batch_tokens: int,
    ) -> list[Outcome]:
        self.scored += len(images)
        return [
            Score(overall=AxisScore(float(image.stat().st_size)))
            for image in images
            if isinstance(image, Path)
        ]


def data_of(folder: Path, *records: Record) -> SuiteData:
    cases = tuple(
        Case(place, record, for_fitting=place == 1) for place, record in enumerate(records)
    )
    return SuiteData("s", cases, folder, "0" * 64, len(records), 0)


def pictures(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{n}.png" for n in range(count)]
    for n, path in enumerate(paths):
        path.write_bytes(bytes([n]) * (n + 1))
    return paths


def score(folder: Path, data: SuiteData, scorer: BySize, **how: float) -> ScoredSuite:
    bad: list[BadItem] = []
    with ScoreCache(folder / "cache", ScorerIdentity("sha256:1")) as cache:
        return score_suite(
            scorer,
            data,
            cache,
            limit=int(how["limit"]) if "limit" in how else None,
            max_bad_share=how.get("share", 1.0),
            on_bad=bad.append,
        )


def test_records_of_every_kind_get_their_scores(tmp_path: Path) -> None:
    shown = pictures(tmp_path, 4)
    data = data_of(
        tmp_path,
        Comparison(prompt="p", image_a=shown[0], image_b=shown[1], target=1.0, votes=3, key="c"),
        Ranking(prompt="p", images=tuple(shown), ranks=(1.0, 2.0, 3.0, 4.0), key="r"),
        Rating(prompt="p", image=shown[3], value=2.0, axis="detail", key="m"),
    )
    scorer = BySize()
    found = score(tmp_path, data, scorer)
    # The prompt is the same, so that a picture in all three is scored once.
    assert scorer.scored == 4
    (pair,), (ranking,), (rating,) = found.comparisons, found.rankings, found.ratings
    assert (pair.image_a, pair.scores_b["overall"].mean, pair.votes) == ("0.png", 2.0, 3)
    assert (pair.global_index, pair.for_fitting, pair.targets) == (0, False, {"overall": 1.0})
    assert [one["overall"].mean for one in ranking.scores] == [1.0, 2.0, 3.0, 4.0]
    assert (ranking.global_index, ranking.for_fitting) == (1, True)
    assert (rating.image, rating.marked, rating.value) == ("3.png", "detail", 2.0)
    assert [one.key for one in found.pairs[:2]] == ["c", "r#0-1"]
    assert len(found.pairs) == 7


def test_a_record_that_lacks_a_picture_is_left_out_whole(tmp_path: Path) -> None:
    shown = pictures(tmp_path, 4)
    shown[2].unlink()
    data = data_of(
        tmp_path,
        Ranking(prompt="p", images=tuple(shown), ranks=(1.0, 2.0, 3.0, 4.0)),
        Comparison(prompt="p", image_a=shown[0], image_b=shown[1], target=1.0),
        Comparison(prompt="p", image_a=shown[0], image_b=shown[2], target=1.0),
        Rating(prompt="p", image=shown[2], value=2.0),
    )
    found = score(tmp_path, data, BySize())
    assert (len(found.comparisons), found.rankings, found.ratings) == (1, [], [])
    with pytest.raises(InputError) as caught:
        score(tmp_path, data, BySize(), share=0.2)
    assert caught.value.code == "evaluation_bad_items"


def test_a_limit_is_of_records(tmp_path: Path) -> None:
    shown = pictures(tmp_path, 4)
    ranking = Ranking(prompt="p", images=tuple(shown), ranks=(1.0, 2.0, 3.0, 4.0))
    found = score(tmp_path, data_of(tmp_path, *[ranking] * 5), BySize(), limit=2)
    assert [one.global_index for one in found.rankings] == [0, 2]
    with pytest.raises(ConfigError):
        score(tmp_path, data_of(tmp_path, ranking), BySize(), limit=0)
