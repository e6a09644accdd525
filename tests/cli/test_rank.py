"""``librehps rank``: best first, and what cannot be scored last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import skimage.data
from PIL import Image
from typer.testing import CliRunner, Result

from librehps.cli.main import app
from librehps.testing.tiny import make_tiny_checkpoint


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("rank")
    make_tiny_checkpoint(place / "model")
    for name in ("cat", "coffee", "astronaut"):
        Image.fromarray(getattr(skimage.data, name)()[:160, :200]).save(place / f"{name}.png")
    return place


def run(place: Path, names: list[str], *arguments: str) -> Result:
    images = [str(place / name) for name in names]
    how = ["--model", str(place / "model"), "--device", "cpu", "--dtype", "float32"]
    return CliRunner().invoke(app, ["rank", *images, "--prompt", "a cat", *how, *arguments])


def test_the_best_comes_first(place: Path) -> None:
    names = ["cat.png", "coffee.png", "astronaut.png"]
    result = run(place, names, "--json")
    assert result.exit_code == 0, result.stderr
    items = json.loads(result.stdout)["items"]
    means = [item["score"]["overall"]["mean"] for item in items]
    assert means == sorted(means, reverse=True)
    assert [item["rank"] for item in items] == [1, 2, 3]
    assert [item["image"] for item in items] == [str(place / names[i["index"]]) for i in items]
    rows = [line.split("\t") for line in run(place, names).stdout.splitlines()]
    assert rows[0][:3] == ["rank", "image", "overall"]
    assert [row[1] for row in rows[1:]] == [item["image"] for item in items]


def test_the_axis_decides(place: Path) -> None:
    names = ["cat.png", "coffee.png", "astronaut.png"]
    items = json.loads(run(place, names, "--json", "--axis", "style").stdout)["items"]
    means = [item["score"]["style"]["mean"] for item in items]
    assert means == sorted(means, reverse=True)


def test_what_cannot_be_scored_comes_last(place: Path) -> None:
    names = ["nowhere.png", "cat.png", "coffee.png"]
    result = run(place, names, "--json")
    assert result.exit_code == 1
    items = json.loads(result.stdout)["items"]
    assert [item["rank"] for item in items] == [1, 2, None]
    assert (items[2]["index"], items[2]["error"]["code"]) == (0, "image_missing")
    rows = [line.split("\t") for line in run(place, names).stdout.splitlines()]
    assert [row[0] for row in rows] == ["rank", "1", "2", "-"]
    assert rows[3][-1].endswith("[image_missing]")
    assert "Traceback" not in result.output


def test_an_axis_that_is_not_scored_is_status_2(place: Path) -> None:
    result = run(place, ["cat.png"], "--axis", "temporal")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "[axis_missing]" in result.stderr
    # Said before anything is scored, and so also where nothing can be.
    result = run(place, ["nowhere.png"], "--axis", "beauty", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "it scores overall, alignment" in result.stderr
