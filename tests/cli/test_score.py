"""``librehps score``: rows and JSON, good images and bad ones, prompts from a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import skimage.data
from PIL import Image
from typer.testing import CliRunner, Result

from librehps.cli.main import app
from librehps.scorer import LibreHPS
from librehps.testing.tiny import make_tiny_checkpoint


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, two photographs and a file that is none."""
    place = tmp_path_factory.mktemp("score")
    make_tiny_checkpoint(place / "model", trained=False)
    Image.fromarray(skimage.data.cat()[:200, :300]).save(place / "cat.png")
    Image.fromarray(skimage.data.coffee()[:160, :160]).save(place / "coffee.jpg")
    (place / "bad.png").write_text("<html>not found</html>")
    return place


def run(place: Path, *arguments: str) -> Result:
    model = ("--model", str(place / "model"), "--device", "cpu", "--dtype", "float32")
    return CliRunner().invoke(app, ["score", *arguments, *model])


def test_rows_are_plain_and_in_order(place: Path) -> None:
    images = [str(place / "cat.png"), str(place / "coffee.jpg")]
    result = run(place, *images, "--prompt", "a cat")
    assert result.exit_code == 0, result.stderr
    head, *rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert head == ["image", "overall", "alignment", "coherence", "style"]
    assert [row[0] for row in rows] == images
    assert all(" ± " in cell for row in rows for cell in row[1:])
    assert "\x1b" not in result.stdout
    assert result.stderr.count("untrained") == 1


def test_json_holds_what_the_library_gives(place: Path) -> None:
    images = [str(place / "cat.png"), str(place / "coffee.jpg")]
    result = run(place, *images, "--prompt", "a cat", "--json", "--deterministic")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["model"], document["trained"]) == (str(place / "model"), False)
    scorer = LibreHPS.from_pretrained(
        place / "model", device="cpu", dtype="float32", deterministic=True
    )
    expected = scorer.score_images(images=images, prompts="a cat")
    assert [item["score"] for item in document["items"]] == [s.to_dict() for s in expected]
    assert [item["image"] for item in document["items"]] == images
    assert [item["prompt"] for item in document["items"]] == ["a cat"] * 2


@pytest.mark.parametrize("as_json", [True, False])
def test_a_bad_image_is_reported_in_its_row(place: Path, as_json: bool) -> None:
    images = [str(place / name) for name in ("cat.png", "bad.png", "nowhere.png", "coffee.jpg")]
    result = run(place, *images, "--prompt", "a cat", *(["--json"] if as_json else []))
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    if as_json:
        items = json.loads(result.stdout)["items"]
        assert ["error" in item for item in items] == [False, True, True, False]
        assert [item["error"]["code"] for item in items[1:3]] == [
            "image_unrecognized",
            "image_missing",
        ]
        assert items[1]["error"]["item"].startswith("images[1]")
    else:
        rows = [line.split("\t") for line in result.stdout.splitlines()[1:]]
        assert [row[0] for row in rows] == images
        assert [row[-1][-20:] for row in rows] == [
            "",
            "[image_unrecognized]",
            rows[2][-1][-20:],
            "",
        ]
        assert rows[2][-1].endswith("[image_missing]")
        assert [row[1] == "-" for row in rows] == [False, True, True, False]


def test_prompts_come_from_a_file_line_by_line(place: Path) -> None:
    prompts = place / "prompts.txt"
    prompts.write_text("a cat\na cup of coffee\n")
    images = [str(place / "cat.png"), str(place / "coffee.jpg")]
    result = run(place, *images, "--prompts", str(prompts), "--json")
    assert result.exit_code == 0, result.stderr
    items = json.loads(result.stdout)["items"]
    assert [item["prompt"] for item in items] == ["a cat", "a cup of coffee"]


@pytest.mark.parametrize("text", ["only one line\n", "a\nb\nc\n", b"\xff\xfe"])
def test_a_prompts_file_that_does_not_match_is_wrong_usage(place: Path, text: str | bytes) -> None:
    prompts = place / "wrong.txt"
    prompts.write_bytes(text if isinstance(text, bytes) else text.encode())
    images = [str(place / "cat.png"), str(place / "coffee.jpg")]
    result = run(place, *images, "--prompts", str(prompts))
    assert (result.exit_code, result.stdout) == (2, "")


def test_only_line_ends_separate_prompts(place: Path) -> None:
    prompts = place / "separators.txt"
    prompts.write_bytes("one\u2028line\x0bstill\r\nthe second".encode())
    images = [str(place / "cat.png"), str(place / "coffee.jpg")]
    result = run(place, *images, "--prompts", str(prompts), "--json")
    assert result.exit_code == 0, result.stderr
    items = json.loads(result.stdout)["items"]
    assert [item["prompt"] for item in items] == ["one\u2028line\x0bstill", "the second"]


def test_an_empty_prompt_fails_every_image(place: Path) -> None:
    result = run(place, str(place / "cat.png"), "--prompt", " ")
    assert result.exit_code == 1
    assert "[prompt_empty]" in result.stdout


def test_notes_are_on_stderr(place: Path) -> None:
    frames = [Image.new("RGB", (60, 60), colour) for colour in ("red", "green")]
    frames[0].save(place / "two.gif", save_all=True, append_images=frames[1:])
    result = run(place, str(place / "two.gif"), "--prompt", "a square")
    assert result.exit_code == 0
    assert "2 frames" in result.stderr
    assert "2 frames" not in result.stdout


def test_a_byte_order_mark_is_no_part_of_a_prompt(place: Path) -> None:
    prompts = place / "marked.txt"
    prompts.write_bytes("a cat\r\n".encode("utf-8-sig"))
    result = run(place, str(place / "cat.png"), "--prompts", str(prompts), "--json")
    assert json.loads(result.stdout)["items"][0]["prompt"] == "a cat"
