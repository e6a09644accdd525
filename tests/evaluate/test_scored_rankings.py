"""Rankings with scores: their pairs, and what is written."""

from __future__ import annotations

import json
from pathlib import Path

from librehps.evaluate.scored_rankings import ScoredRanking, write_rankings
from librehps.evaluate.split import turned_round
from librehps.results import AxisScore


def ranking(place: int = 0, ranks: tuple[float, ...] = (1, 2, 2)) -> ScoredRanking:
    return ScoredRanking(
        suite="s",
        global_index=place,
        for_fitting=place % 2 == 1,
        key=f"k{place}",
        prompt=f"p{place}",
        images=tuple(f"{n}.png" for n in range(len(ranks))),
        ranks=tuple(map(float, ranks)),
        scores=tuple({"overall": AxisScore(10.0 * n)} for n in range(len(ranks))),
    )


def test_every_pair_is_there_with_its_target_and_its_scores() -> None:
    pairs = ranking().pairs()
    assert [pair.key for pair in pairs] == ["k0#0-1", "k0#0-2", "k0#1-2"]
    for pair, (first, second), for_first in zip(
        pairs, ((0, 1), (0, 2), (1, 2)), (1.0, 1.0, 0.5), strict=True
    ):
        turned = turned_round(0, pair=f"{first}-{second}")
        a, b = (second, first) if turned else (first, second)
        assert (pair.image_a, pair.image_b) == (f"{a}.png", f"{b}.png")
        assert pair.targets == {"overall": 1.0 - for_first if turned else for_first}
        assert (pair.scores_a["overall"].mean, pair.scores_b["overall"].mean) == (10 * a, 10 * b)
    assert {(pair.prompt, pair.global_index, pair.for_fitting) for pair in pairs} == {
        ("p0", 0, False)
    }
    assert all(pair.for_fitting for pair in ranking(1).pairs())


def test_half_of_the_pairs_are_turned_round() -> None:
    pairs = [pair for place in range(60) for pair in ranking(place, (1, 2, 3, 4)).pairs()]
    preferred_first = sum(pair.targets["overall"] == 1.0 for pair in pairs)
    assert 0.4 < preferred_first / len(pairs) < 0.6


def test_a_line_for_each(tmp_path: Path) -> None:
    write_rankings(tmp_path / "rankings.jsonl", [ranking(0), ranking(1)])
    first, second = map(json.loads, (tmp_path / "rankings.jsonl").read_text().splitlines())
    assert (first["ranks"], first["images"]) == ([1, 2, 2], ["0.png", "1.png", "2.png"])
    assert first["scores"][1]["overall"]["mean"] == 10.0
    assert (second["key"], second["for_fitting"]) == ("k1", True)
