from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

from librehps.data.records import Ranking, Rating
from librehps.data.sources import image_reward as module
from librehps.data.sources.reading import read
from librehps.errors import InputError


def group(prompt: str, ranks: list[int], **change: Any) -> list[dict[str, Any]]:
    """The rows of a prompt as ``<split>_<k>.json`` and ``metadata-<split>.parquet`` have them."""
    return [
        {
            "image_path": f"images/train/train_1/{prompt}-{place}.webp",
            "prompt_id": f"id-{prompt}",
            "prompt": f"a {prompt}",
            "classification": "Animals",
            "image_amount_in_total": len(ranks),
            "rank": rank,
            "overall_rating": 8 - rank,
            "image_text_alignment_rating": 5,
            "fidelity_rating": 6,
        }
        | change
        for place, rank in enumerate(ranks)
    ]


def save(folder: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    if kind == "json":
        (folder / "train_1.json").write_text(json.dumps(rows))
        return folder / "train_1.json"
    parquet.write_table(arrow.Table.from_pylist(rows), folder / "metadata-train.parquet")
    return folder / "metadata-train.parquet"


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_the_rows_of_a_prompt_are_one_ranking(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path, kind, group("cat", [2, 1, 2]) + group("dog", [1, 2]))
    reading = read("imagereward", path)
    cat, dog = reading
    assert cat == Ranking(
        prompt="a cat",
        images=tuple(tmp_path / f"images/train/train_1/cat-{place}.webp" for place in range(3)),
        ranks=(2.0, 1.0, 2.0),
        key="id-cat",
    )
    assert dog.key == "id-dog"
    assert (reading.report.rows, reading.report.records) == (5, {"ranking": 2})


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_marks_are_ratings_on_three_axes(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path, kind, group("cat", [1, 3]))
    found = [one for one in read("imagereward-ratings", path) if isinstance(one, Rating)]
    assert [(one.axis, one.value) for one in found] == [
        ("overall", 7.0),
        ("alignment", 5.0),
        ("coherence", 6.0),
        ("overall", 5.0),
        ("alignment", 5.0),
        ("coherence", 6.0),
    ]
    assert found[0].image == tmp_path / "images/train/train_1/cat-0.webp"
    assert len({one.key for one in found}) == 6


def test_a_prompt_with_its_images_in_one_row_is_a_ranking(tmp_path: Path) -> None:
    fields = {"id": "000-1", "prompt": "p", "generations": ["a.webp", "b.webp"], "ranking": [2, 1]}
    (one,) = read("imagereward", save(tmp_path, "json", [fields]), root=tmp_path / "test")
    assert one == Ranking(
        prompt="p",
        images=(tmp_path / "test/a.webp", tmp_path / "test/b.webp"),
        ranks=(2.0, 1.0),
        key="000-1",
    )


@pytest.mark.parametrize(
    ("rows", "bad"),
    [
        (group("cat", [1, 2, 3])[:2], {"data_row": 2}),
        ([*group("cat", [1, 2])[:1], {"no": "row"}, *group("cat", [1, 2])[1:]], {"data_row": 3}),
        (group("cat", [1, 2]) + group("cat", [1, 2]), {"data_row": 4}),
        (group("cat", [1, 2]) + group("dog", [1, 2]) + group("cat", [1, 2]), {"data_duplicate": 2}),
        (
            [{**row, "prompt": str(n)} for n, row in enumerate(group("cat", [1, 2]))],
            {"data_row": 2},
        ),
        (group("cat", [1, 2], rank=None), {"data_row": 2}),
        (group("cat", [1, 2], image_path="same.webp"), {"data_same_image": 2}),
        (group("cat", [1, 2], image_path="/x.webp"), {"data_path": 2}),
        ([{"id": "x", "prompt": "p", "generations": "a.webp", "ranking": [1]}], {"data_row": 1}),
    ],
)
def test_a_prompt_is_read_whole_or_not_at_all(
    tmp_path: Path, rows: list[dict[str, Any]], bad: dict[str, int]
) -> None:
    path = save(tmp_path, "json", [*rows, *group("end", [1, 2])])
    reading = read("imagereward", path, max_bad_share=1.0)
    found = [one.key for one in reading]
    assert found[-1] == "id-end"
    assert reading.report.bad == bad
    assert reading.report.rows == len(rows) + 2
    assert reading.report.bad_rows[0].line == 1


def test_a_prompt_without_an_end_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_GROUP", 3)
    with pytest.raises(InputError, match="more than 3 images"):
        list(read("imagereward", save(tmp_path, "json", group("cat", [1, 2, 3, 4]))))
