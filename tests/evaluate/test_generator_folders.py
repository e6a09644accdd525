"""Folders of generators: prompts say which pictures there should be, and nothing goes unsaid."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from librehps.errors import InputError
from librehps.evaluate.generated import GeneratedSet
from librehps.evaluate.generator_folders import read_folders


def put(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"prompt of {path.stem}" if path.suffix == ".txt" else "a picture")
    return root


def shown(found: GeneratedSet) -> list[tuple[str, str, str, str]]:
    return [
        (one.generator, one.category, one.prompt, one.image.relative_to(found.images).as_posix())
        for one in found.pictures
    ]


def test_prompts_by_category_as_hpsv2_has_them(tmp_path: Path) -> None:
    root = put(tmp_path / "pictures", "a/anime/00000.jpg", "a/anime/00001.png", "b/anime/00001.jpg")
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "anime.json").write_text('["a cat", "a dog"]')
    found = read_folders(root, prompts=tmp_path / "prompts")
    assert shown(found) == [
        ("a", "anime", "a cat", "a/anime/00000.jpg"),
        ("a", "anime", "a dog", "a/anime/00001.png"),
        ("b", "anime", "a dog", "b/anime/00001.jpg"),
        # Not there, and so it will be missing rather than never wanted.
        ("b", "anime", "a cat", "b/anime/00000"),
    ]
    assert (found.layout, found.sha256, found.notes, found.bad_items) == ("folders", None, (), ())


def test_prompts_beside_the_pictures_as_hpsv3_has_them(tmp_path: Path) -> None:
    root = put(tmp_path, *(f"a/x/{n}" for n in ("1.png", "1.txt", "2.JPG", "3.txt")))
    put(root, "a/x/4.webp", "a/x/4.txt", "a/x/5.png", "a/x/5.txt")
    (root / "a/x/4.txt").write_bytes(b"\xff")
    (root / "a/x/5.txt").write_text(" \n")
    found = read_folders(root)
    assert shown(found) == [
        ("a", "x", "prompt of 1", "a/x/1.png"),
        ("a", "x", "prompt of 3", "a/x/3"),
    ]
    bad = [(item.item.image.name, item.error.code) for item in found.bad_items]
    assert bad == [
        ("4.txt", "prompt_file"),
        ("5.txt", "prompt_file"),
        ("2.JPG", "prompt_missing"),
    ]


def test_several_pictures_of_a_prompt_are_all_there(tmp_path: Path) -> None:
    root = put(tmp_path / "p", "a/x/7.png", "a/x/0007.jpg", "a/x/8.png")
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"x": [str(place) for place in range(8)]}))
    found = read_folders(root, prompts=prompts)
    there = [one for one in found.pictures if one.image.exists()]
    assert [one.prompt for one in there] == ["7", "7"]
    assert len(found.pictures) == 2 + 7
    assert [item.item.image.name for item in found.bad_items] == ["8.png"]


def test_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    root = put(tmp_path, "a/x/1.png", "a/x/._1.png", "a/x/Thumbs.db", "a/notes.md", "list.json")
    put(tmp_path, "a/.cache/x.png", ".ipynb_checkpoints/y.png")
    (root / "prompts").mkdir()
    for category in ("x", "y"):
        (root / "prompts" / f"{category}.json").write_text('{"1": "a cat"}')
    # Prompts may lie with the generators; they are none.
    found = read_folders(root, prompts=root / "prompts")
    assert [one.generator for one in found.pictures] == ["a"]
    files, categories = found.notes
    assert files.startswith("6 files are no pictures")
    assert categories == "1 categories have prompts and no pictures of anyone, such as 'y'"


def test_what_systems_leave_beside_a_prompt_is_none(tmp_path: Path) -> None:
    root = put(tmp_path, "a/x/1.png")
    (root / "a" / "x" / "1.TXT").write_text("a cat")
    (root / "a" / "x" / "._1.txt").write_bytes(b"\0\xff")
    found = read_folders(root)
    assert [one.prompt for one in found.pictures] == ["a cat"]
    assert not found.bad_items


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ((), "data_file"),
        (("list.json",), "data_file"),
        (("a/1.png", "a/x/1.png"), "leaderboard_layout"),
        (("a/notes.md", "b/x/1.png"), "leaderboard_layout"),
        (("a/x/notes.md",), "data_file"),
        (("a/z/1.png",), "prompt_category"),
    ],
    ids=str,
)
def test_another_layout_is_refused(tmp_path: Path, names: tuple[str, ...], code: str) -> None:
    (tmp_path / "root").mkdir()
    root = put(tmp_path / "root", *names)
    prompts = tmp_path / "prompts.json"
    prompts.write_text('{"x": {"1": "a cat"}}')
    with pytest.raises(InputError) as caught:
        read_folders(root, prompts=prompts if code == "prompt_category" else None)
    assert caught.value.code == code


def test_a_folder_that_may_not_be_listed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who runs the tests may be allowed to list everything.
    root = put(tmp_path, "a/x/1.png")
    plain = Path.iterdir

    def guarded(folder: Path) -> Iterator[Path]:
        if folder == root / "a":
            raise PermissionError(13, "Permission denied", str(folder))
        return plain(folder)

    monkeypatch.setattr(Path, "iterdir", guarded)
    with pytest.raises(InputError) as caught:
        read_folders(root)
    assert caught.value.code == "data_file"


def test_names_that_are_no_text_are_names(tmp_path: Path) -> None:
    strange = os.fsdecode(b"g\xff\n")
    root = put(tmp_path, f"{strange}/x/1.png", f"{strange}/x/1.txt")
    (picture,) = read_folders(root).pictures
    assert picture.generator == strange
    assert picture.image.exists()
