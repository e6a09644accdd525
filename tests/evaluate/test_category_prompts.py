"""Prompts by category: the layouts that are read, and everything that is none of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from librehps.errors import InputError
from librehps.evaluate.category_prompts import CategoryPrompts, read_category_prompts


def test_a_file_for_each_category_in_each_layout(tmp_path: Path) -> None:
    (tmp_path / "anime.json").write_text('["a cat", "a dog"]')
    (tmp_path / "photo.json").write_text('{"x.png": "a pier", "y": "a sea"}')
    lines = '{"image": "x.png", "prompt": "a ship"}\n\n{"image": "y.png", "prompt": "a boat"}\n'
    (tmp_path / "art.jsonl").write_text(lines)
    (tmp_path / "other.txt").write_bytes("\ufeffa fish\r\na bird\n\n\n".encode())
    (tmp_path / "README.md").write_text("not a category")
    (tmp_path / "._art.jsonl").write_bytes(b"\0\xff")
    (tmp_path / "art.jsonl").rename(tmp_path / "art.JSONL")
    found = read_category_prompts(tmp_path)
    assert {name: dict(one.texts) for name, one in found.items()} == {
        "anime": {"0": "a cat", "1": "a dog"},
        "art": {"x.png": "a ship", "y.png": "a boat"},
        "other": {"0": "a fish", "1": "a bird"},
        "photo": {"x.png": "a pier", "y": "a sea"},
    }
    assert [found[name].numbered for name in sorted(found)] == [True, False, True, False]


def test_one_file_for_all(tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    path.write_text('{"anime": ["a cat"], "photo": {"x.png": "a pier"}}')
    found = read_category_prompts(path)
    assert found["anime"] == CategoryPrompts({"0": "a cat"}, numbered=True)
    assert found["photo"] == CategoryPrompts({"x.png": "a pier"}, numbered=False)


def test_a_file_is_found_by_number_or_by_name() -> None:
    numbered = CategoryPrompts({"0": "a", "12": "b"}, numbered=True)
    # The last two are digits to Python, and no numbers of files.
    names = (
        "00012.jpg",
        "12.png",
        "0.webp",
        "00013.jpg",
        "x.jpg",
        "-0.jpg",
        "\uff11.png",
        "\u00b2",
    )
    found = ["12", "12", "0", None, None, None, None, None]
    assert [numbered.key_of(name) for name in names] == found
    assert numbered.name_of("12") == "00012"
    named = CategoryPrompts({"x.png": "a", "x": "b", "y": "c"}, numbered=False)
    assert [named.key_of(name) for name in ("x.png", "x.jpg", "y.gif", "z.png")] == [
        *("x.png", "x", "y", None)
    ]
    assert named.name_of("x.png") == "x.png"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '["a", ""]'),
        ("a.json", '["a", 3]'),
        ("a.json", '["a", "\\ud800"]'),
        ("a.json", '["a"'),
        ("a.json", "[" * 100_000),
        ("a.json", '{"x.png": "a", "x.png": "b"}'),
        ("a.json", '{"../x.png": "a"}'),
        ("a.json", '{"/etc/passwd": "a"}'),
        ("a.json", '{"..": "a"}'),
        ("a.json", '{"b\\\\x.png": "a"}'),
        ("a.json", '{"\\ud800.png": "a"}'),
        ("a.json", '{"": "a"}'),
        ("a.json", '"a"'),
        ("a.json", "[]"),
        ("a.json", "{}"),
        ("a.txt", ""),
        ("a.txt", "a\n\nb\n"),
        ("a.jsonl", '{"image": "x.png"}'),
        ("a.jsonl", '{"image": "x.png", "prompt": "a", "seed": 1}'),
        ("a.jsonl", '{"image": "x.png", "prompt": "a"}\n{"image": "x.png", "prompt": "b"}'),
        ("a.jsonl", '{"image": "a/x.png", "prompt": "a"}'),
        ("a.jsonl", "nothing"),
    ],
)
def test_what_is_no_prompt_or_no_name_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_category_prompts(tmp_path)
    assert caught.value.code == "prompt_file"
    assert name in str(caught.value)


def test_what_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.json"):
        with pytest.raises(InputError) as caught:
            read_category_prompts(path)
        assert caught.value.code == "data_file"
    (tmp_path / "a.txt").write_bytes(b"\xff\xfea")
    with pytest.raises(InputError) as caught:
        read_category_prompts(tmp_path)
    assert caught.value.code == "data_encoding"
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "a.json").write_text('["b"]')
    with pytest.raises(InputError, match="second file") as caught:
        read_category_prompts(tmp_path)
    assert caught.value.code == "prompt_file"
    (tmp_path / "a.json").write_text('["b"]')
    with pytest.raises(InputError, match="no JSON object of categories") as caught:
        read_category_prompts(tmp_path / "a.json")
    assert caught.value.code == "prompt_file"


@settings(max_examples=150)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_any_json_is_read_or_refused_and_no_key_leaves_its_folder(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    path = tmp_path_factory.mktemp("prompts") / "prompts.json"
    path.write_text(json.dumps(value))
    found: dict[str, CategoryPrompts] = {}
    codes = ["prompt_file"]
    try:
        found = read_category_prompts(path)
    except InputError as error:
        codes.append(error.code)
    # Nothing but that is raised, whatever is there.
    assert set(codes) == {"prompt_file"}
    for prompts in found.values():
        for key, prompt in prompts.texts.items():
            assert prompt
            assert (path.parent / prompts.name_of(key)).parent == path.parent
