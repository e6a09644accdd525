"""Scored pairs: exact on the way to the file and back, and strict about what they read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from librehps.errors import InputError
from librehps.evaluate.scored import ScoredPair, read_scored, score_pairs, write_scored
from librehps.results import AxisScore

PAIR = ScoredPair(
    suite="s",
    global_index=3,
    for_fitting=True,
    key="k#3",
    prompt="a \u2028 line\nwith all sorts",
    image_a="images/a.png",
    image_b="images/b.png",
    targets={"overall": 1 / 3, "style": 1.0},
    votes=3,
    scores_a={"overall": AxisScore(0.1, 0.2), "alignment": AxisScore(1e-300)},
    scores_b={"overall": AxisScore(-7.0, 0.0), "alignment": AxisScore(2.0)},
)


def test_pairs_come_back_as_they_were(tmp_path: Path) -> None:
    pairs = [PAIR, replace(PAIR, votes=None, for_fitting=False, key="")]
    write_scored(tmp_path / "pairs.jsonl", pairs)
    assert read_scored(tmp_path / "pairs.jsonl") == pairs


def test_an_axis_needs_votes_and_both_scores() -> None:
    assert [axis for axis in ("overall", "style", "alignment") if PAIR.has(axis)] == ["overall"]
    columns = score_pairs([PAIR, PAIR], "overall")
    assert columns.difference.tolist() == [7.1, 7.1]
    assert columns.target.tolist() == [1 / 3, 1 / 3]
    assert columns.spread is not None
    assert columns.spread.tolist() == [0.2, 0.2]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"mean": 0.1', '"mean": null'),
        ('"mean": 0.1', '"mean": NaN'),
        ('"prompt": ', '"prompt": 3, "x": '),
        ('"targets": ', '"other": '),
        ("{", "["),
    ],
)
def test_a_line_that_is_not_as_written_is_named(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "pairs.jsonl"
    write_scored(path, [PAIR, PAIR])
    first, second = path.read_text().splitlines(keepends=True)
    path.write_text(first + second.replace(old, new, 1))
    with pytest.raises(InputError, match="line 2") as caught:
        read_scored(path)
    assert (caught.value.code, caught.value.item) == ("data_row", str(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_scored(tmp_path / "nowhere.jsonl")
    assert caught.value.code == "data_file"
