"""Rows of generated pictures: what they say, and what makes one bad."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from librehps.errors import InputError
from librehps.evaluate.generated import UNNAMED_CATEGORY, GeneratedPicture, read_rows

ROW = {"image": "a/1.png", "prompt": "a cat", "generator": "a", "category": "animals"}


def write(folder: Path, rows: list[Any]) -> Path:
    path = folder / "pictures.json"
    path.write_text(json.dumps(rows))
    return path


def test_rows_are_pictures_in_order(tmp_path: Path) -> None:
    rows = [ROW, {"image": "b/1.png", "prompt": "a cat", "model": "b", "category": None}]
    path = write(tmp_path, rows)
    found = read_rows(path)
    assert found.pictures == (
        GeneratedPicture("a", "animals", "a cat", tmp_path / "a" / "1.png"),
        GeneratedPicture("b", UNNAMED_CATEGORY, "a cat", tmp_path / "b" / "1.png"),
    )
    assert (found.images, found.layout, found.num_rows) == (tmp_path, "rows", 2)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.bad_rows == found.bad_items == found.notes == ()
    lines = tmp_path / "pictures.jsonl"
    lines.write_text("\n".join(map(json.dumps, rows)))
    assert read_rows(lines).pictures == found.pictures


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"catgory": "x"}, "data_row", "did you mean 'category'"),
        ({"model": "b"}, "data_row", "one of the keys generator and model"),
        ({"generator": None}, "data_row", "one of the keys generator and model"),
        ({"generator": 3}, "data_row", "generator is 3"),
        ({"prompt": ""}, "data_row", "prompt is ''"),
        ({"category": ["x"]}, "data_row", "category is"),
        ({"image": "../1.png"}, "data_path", "no path inside"),
        ({"image": "/etc/passwd"}, "data_path", "not inside the folder"),
        ({"image": "a\\1.png"}, "data_path", "told apart by /"),
        ({}, "data_row", "row 0 has said already"),
    ],
    ids=str,
)
def test_a_bad_row_says_why(tmp_path: Path, change: dict[str, Any], code: str, says: str) -> None:
    found = read_rows(write(tmp_path, [ROW, {**ROW, **change}]))
    assert len(found.pictures) == 1
    (bad,) = found.bad_rows
    assert (bad.row, bad.code, found.num_rows) == (1, code, 2)
    assert says in bad.message


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_rows(tmp_path / "gone.json")
    assert caught.value.code == "data_file"
    with pytest.raises(InputError) as caught:
        read_rows(write(tmp_path, []))
    assert caught.value.code == "data_file"
    (tmp_path / "pictures.json").write_text(json.dumps([ROW, ROW])[:-3])
    with pytest.raises(InputError) as caught:
        read_rows(tmp_path / "pictures.json")
    assert caught.value.code == "data_truncated"


@pytest.mark.parametrize("key", ["generator", "category"])
def test_a_name_of_its_own_in_every_row_is_refused(tmp_path: Path, key: str) -> None:
    rows = [{**ROW, "image": f"{place}.png", key: str(place)} for place in range(201)]
    with pytest.raises(InputError, match="at most 200") as caught:
        read_rows(write(tmp_path, rows))
    assert caught.value.code == "leaderboard_names"
    assert len(read_rows(write(tmp_path, rows[:200])).pictures) == 200


@settings(max_examples=150)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["image", "prompt", "generator", "model", "category", "x"]),
            st.none() | st.integers() | st.text(max_size=6) | st.sampled_from(["..", "a/b", "/a"]),
        )
        | st.integers(),
        max_size=5,
    )
)
def test_every_row_is_a_picture_inside_or_bad(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    path = write(folder, rows)
    if not rows:
        with pytest.raises(InputError):
            read_rows(path)
        return
    found = read_rows(path)
    assert len(found.pictures) + len(found.bad_rows) == found.num_rows == len(rows)
    for picture in found.pictures:
        assert picture.generator
        assert picture.category
        assert picture.prompt
        assert ".." not in picture.image.relative_to(folder).parts
