from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from librehps.data import Comparison, read_hpdv3, write_hpdv3
from librehps.data import hpdv3 as module
from librehps.errors import ConfigError, InputError

ROW = {
    "prompt": "a cat",
    "path1": "images/1.jpg",
    "path2": "images/2.jpg",
    "model1": "x",
    "model2": "y",
    "choice_dist": [12, 7],
    "confidence": 0.9,
}


def save(folder: Path, *rows: Any) -> Path:
    path = folder / "train.json"
    path.write_text(json.dumps(list(rows)))
    return path


def test_a_published_row_is_read(tmp_path: Path) -> None:
    found = read_hpdv3(save(tmp_path, ROW), root=tmp_path / "data")
    (row,) = found.comparisons
    assert row == Comparison(
        prompt="a cat",
        image_a=tmp_path / "data" / "images" / "1.jpg",
        image_b=tmp_path / "data" / "images" / "2.jpg",
        target=12 / 19,
        votes=19,
        confidence=0.9,
        key="train.json#0",
        model_a="x",
        model_b="y",
    )
    assert (found.rows, found.below_confidence, found.bad) == (1, 0, ())


def test_rows_of_the_test_file_and_null_are_preferences_by_convention(tmp_path: Path) -> None:
    bare = {name: ROW[name] for name in ("prompt", "path1", "path2", "model1", "model2")}
    null = ROW | {"choice_dist": None, "confidence": None}
    nobody = ROW | {"choice_dist": [0, 0]}
    for row in read_hpdv3(save(tmp_path, bare, null, nobody)).comparisons:
        assert (row.target, row.votes) == (1.0, None)


def test_a_majority_against_the_first_is_kept(tmp_path: Path) -> None:
    (row,) = read_hpdv3(save(tmp_path, ROW | {"choice_dist": [5, 15]})).comparisons
    assert row.target == 0.25


def test_the_threshold_leaves_out_what_is_known_to_be_unsure(tmp_path: Path) -> None:
    rows = [ROW | {"confidence": value} for value in (0.5, 0.9, None)]
    found = read_hpdv3(save(tmp_path, *rows), min_confidence=0.8)
    assert [row.confidence for row in found.comparisons] == [0.9, None]
    assert (found.rows, found.below_confidence) == (3, 1)


BAD = [
    ("no row", "not an object"),
    (ROW | {"prompt": None}, "prompt is None"),
    (ROW | {"prompt": " "}, "empty"),
    (ROW | {"path1": 3}, "path1 is 3"),
    ({name: ROW[name] for name in ROW if name != "path2"}, "path2 is None"),
    (ROW | {"path1": "/etc/passwd"}, "inside the folder"),
    (ROW | {"path1": "../x.jpg"}, "inside the folder"),
    (ROW | {"path2": "a\\..\\x.jpg"}, "told apart by /"),
    (ROW | {"choice_dist": [1]}, "two numbers of votes"),
    (ROW | {"choice_dist": [1.5, 2]}, "two numbers of votes"),
    (ROW | {"choice_dist": [-1, 2]}, "two numbers of votes"),
    (ROW | {"choice_dist": [True, 2]}, "two numbers of votes"),
    (ROW | {"choice_dist": [10**400, 1]}, "at most 1000000000 votes"),
    (ROW | {"confidence": "0.9"}, "not a number"),
    (ROW | {"confidence": float("nan")}, "confidence is nan"),
    (ROW | {"confidence": 10**400}, "bits"),
    (ROW | {"model1": 1}, "model1 is 1"),
    (ROW | {"librehps": []}, "not an object"),
    (ROW | {"librehps": {"target": 2.0}}, "from 0 to 1"),
    (ROW | {"librehps": {"votes": float("nan")}}, "not a whole number"),
    (ROW | {"librehps": {"votes": float("inf")}}, "not a whole number"),
    (ROW | {"librehps": {"votes": 2.7}}, "votes is 2.7"),
    (ROW | {"librehps": {"votes": 10**400}}, "at most 1000000000"),
    (ROW | {"model1": "\ud800"}, "half of a surrogate"),
    (ROW | {"path1": "."}, "path1 is '.'"),
    (ROW | {"path1": "a\nb.jpg"}, "path1 is"),
    (ROW | {"librehps": {"axis_targets": {"style": None}}}, "style is None"),
    (ROW | {"librehps": {"axis_targets": {"coherance": 0.5}}}, "names 'coherance'"),
]


@pytest.mark.parametrize(("row", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_a_bad_row_is_counted_and_listed_and_never_replaced(
    tmp_path: Path, row: Any, reason: str
) -> None:
    path, listing = save(tmp_path, ROW, row, ROW), tmp_path / "bad.jsonl"
    found = read_hpdv3(path, max_bad_share=0.5, bad_rows=listing)
    assert [comparison.key for comparison in found.comparisons] == ["train.json#0", "train.json#2"]
    (bad,) = found.bad
    assert bad.index == 1
    assert reason in bad.reason
    assert [json.loads(line) for line in listing.read_text().splitlines()] == [vars(bad)]


def test_too_many_bad_rows_stop_the_reading(tmp_path: Path) -> None:
    path, listing = save(tmp_path, ROW, 3, None), tmp_path / "bad.jsonl"
    with pytest.raises(InputError, match=r"2 of 3 rows.*row 1: is a JSON int") as caught:
        read_hpdv3(path, bad_rows=listing)
    assert caught.value.code == "data_bad_rows"
    assert len(listing.read_text().splitlines()) == 2


def test_images_are_looked_for_when_asked(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").touch()
    path = save(tmp_path, ROW)
    assert read_hpdv3(path).bad == ()
    (bad,) = read_hpdv3(path, check_files=True, max_bad_share=1.0).bad
    assert bad.reason == "there is no image '2.jpg'"


def test_a_name_that_no_file_can_have_is_a_bad_row(tmp_path: Path) -> None:
    path = save(tmp_path, ROW | {"path1": 5000 * "a"})
    (bad,) = read_hpdv3(path, check_files=True, max_bad_share=1.0).bad
    assert "no image can be called" in bad.reason


@pytest.mark.parametrize("option", ["max_bad_share", "min_confidence"])
@pytest.mark.parametrize("value", [float("nan"), -0.1])
def test_a_share_must_be_a_number(tmp_path: Path, option: str, value: float) -> None:
    with pytest.raises(ConfigError) as caught:
        read_hpdv3(save(tmp_path, ROW), **{option: value})
    assert caught.value.code == "data_value"


@pytest.mark.parametrize("text", ["", "{", "{}", "3", "[" * 100_000])
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(InputError) as caught:
        read_hpdv3(tmp_path / "train.json")
    assert (caught.value.code, caught.value.item) == ("data_file", str(tmp_path / "train.json"))


def test_a_missing_or_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_hpdv3(tmp_path / "none.json")
    monkeypatch.setattr(module, "_MAX_BYTES", 10)
    with pytest.raises(InputError, match="at most 10 are read"):
        read_hpdv3(save(tmp_path, ROW))


def test_a_file_that_no_one_can_open_or_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read") as caught:
        read_hpdv3(tmp_path / f"{300 * 'a'}.json")
    assert caught.value.code == "data_file"
    path = save(tmp_path, ROW)
    with pytest.raises(InputError, match="cannot be written") as caught:
        # A file stands where a folder is wanted.
        read_hpdv3(path, bad_rows=path / "bad.jsonl")
    assert (caught.value.code, caught.value.item) == ("out_unwritable", str(path / "bad.jsonl"))


def test_paths_may_be_texts(tmp_path: Path) -> None:
    found = read_hpdv3(str(save(tmp_path, ROW)), root=str(tmp_path), bad_rows=f"{tmp_path}/bad")
    write_hpdv3(str(tmp_path / "out.json"), found.comparisons, root=str(tmp_path))
    assert read_hpdv3(tmp_path / "out.json").comparisons == found.comparisons


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
share = st.floats(0, 1)


@st.composite
def comparisons(draw: st.DrawFn, folder: Path) -> Comparison:
    return Comparison(
        prompt=draw(text),
        image_a=folder / f"{draw(st.integers(0, 99))}.png",
        image_b=folder / "sub" / f"{draw(st.integers(0, 99))}.png",
        target=draw(share),
        axis_targets=draw(st.dictionaries(st.sampled_from(["style", "alignment"]), share)),
        votes=draw(st.none() | st.integers(1, 50)),
        confidence=draw(st.none() | st.floats(0, 10)),
        key=draw(text),
        model_a=draw(st.none() | text),
        model_b=draw(st.none() | text),
    )


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_what_is_written_is_read(tmp_path: Path, data: st.DataObject) -> None:
    written = data.draw(st.lists(comparisons(tmp_path), max_size=4))
    write_hpdv3(tmp_path / "out.json", written)
    found = read_hpdv3(tmp_path / "out.json")
    assert found.bad == ()
    expected = [record if record.target >= 0.5 else record.swapped() for record in written]
    assert list(found.comparisons) == expected
    assert list(tmp_path.glob(".out*")) == []


def test_votes_are_written_as_the_format_has_them(tmp_path: Path) -> None:
    record = Comparison(
        prompt="p", image_a=tmp_path / "a.png", image_b=tmp_path / "b.png", target=0.3, votes=10
    )
    write_hpdv3(tmp_path / "out.json", [record])
    (row,) = json.loads((tmp_path / "out.json").read_text())
    assert (row["path1"], row["path2"], row["choice_dist"]) == ("b.png", "a.png", [7, 3])
    assert "librehps" not in row


def test_no_count_of_votes_is_lost_to_rounding(tmp_path: Path) -> None:
    counts = [(won, votes) for votes in range(1, 41) for won in range(votes + 1)]
    images = {"image_a": tmp_path / "a.png", "image_b": tmp_path / "b.png"}
    records = [
        Comparison(prompt="p", target=won / votes, votes=votes, **images) for won, votes in counts
    ]
    write_hpdv3(tmp_path / "out.json", records)
    rows = json.loads((tmp_path / "out.json").read_text())
    assert [row["choice_dist"] for row in rows] == [
        sorted([won, votes - won], reverse=True) for won, votes in counts
    ]


def test_a_target_turned_round_is_not_rounded_again(tmp_path: Path) -> None:
    # 1 - 1/3 is the float above 14/21.
    record = Comparison(
        prompt="p", image_a=tmp_path / "a.png", image_b=tmp_path / "b.png", target=7 / 21, votes=21
    )
    write_hpdv3(tmp_path / "out.json", [record])
    (row,) = json.loads((tmp_path / "out.json").read_text())
    assert row["choice_dist"] == [14, 7]
    (read,) = read_hpdv3(tmp_path / "out.json").comparisons
    assert (read.target, read.votes) == (record.swapped().target, 21)
    assert read.target != 14 / 21


def test_an_image_outside_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    record = Comparison(
        prompt="p", image_a=tmp_path / "a.png", image_b=tmp_path.parent / "b.png", target=1.0
    )
    with pytest.raises(InputError) as caught:
        write_hpdv3(tmp_path / "out.json", [record])
    assert caught.value.code == "data_outside"
    assert list(tmp_path.iterdir()) == []


def test_images_behind_a_link_are_written_as_they_were_read(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / "disk" / name).touch()
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "images").symlink_to(tmp_path / "disk", target_is_directory=True)
    found = read_hpdv3(save(folder, ROW), check_files=True)
    write_hpdv3(folder / "out.json", found.comparisons)
    assert read_hpdv3(folder / "out.json", check_files=True).comparisons == found.comparisons


def test_an_image_inside_under_another_name_is_written(tmp_path: Path) -> None:
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data", target_is_directory=True)
    record = Comparison(
        prompt="p",
        image_a=tmp_path / "link" / "a.png",
        image_b=tmp_path / "data" / "sub" / ".." / "b.png",
        target=1.0,
    )
    write_hpdv3(tmp_path / "data" / "out.json", [record])
    (row,) = json.loads((tmp_path / "data" / "out.json").read_text())
    assert (row["path1"], row["path2"]) == ("a.png", "b.png")


def test_a_way_up_is_followed_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere" / "deep", target_is_directory=True)
    record = Comparison(
        prompt="p", image_a=folder / "a.png", image_b=folder / "link" / ".." / "b.png", target=1.0
    )
    with pytest.raises(InputError) as caught:
        write_hpdv3(folder / "out.json", [record])
    assert caught.value.code == "data_outside"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_a": ""}, "model1 is ''"),
        ({"key": "\ud800"}, "half of a surrogate"),
        ({"image_b": "a\\b.png"}, "has a backslash"),
        ({"image_b": "a\nb.png"}, "do not belong in a path"),
        ({"image_b": "."}, "no path inside"),
        ({"votes": 10**9 + 1}, "at most 1000000000"),
    ],
    ids=repr,
)
def test_what_would_be_a_bad_row_is_not_written(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    good = {"prompt": "p", "image_a": "a.png", "image_b": "b.png", "target": 1.0}
    odd = good | change
    records = [
        Comparison(**one | {name: tmp_path / one[name] for name in ("image_a", "image_b")})
        for one in (good, odd)
    ]
    with pytest.raises(InputError, match=reason) as caught:
        write_hpdv3(tmp_path / "out.json", records)
    assert caught.value.item == "comparisons[1]"
    assert list(tmp_path.iterdir()) == []
