"""``librehps compare``: the winner, the probability, and what happens without one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import skimage.data
from PIL import Image
from typer.testing import CliRunner, Result

from librehps.cli.main import app
from librehps.testing.tiny import make_tiny_checkpoint


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("compare")
    make_tiny_checkpoint(place / "model")
    Image.fromarray(skimage.data.cat()[:200, :300]).save(place / "cat.png")
    Image.fromarray(skimage.data.coffee()[:160, :160]).save(place / "coffee.jpg")
    return place


def run(place: Path, a: str, b: str, *arguments: str) -> Result:
    images = [str(place / a), str(place / b)]
    how = ["--model", str(place / "model"), "--device", "cpu", "--deterministic"]
    return CliRunner().invoke(app, ["compare", *images, "--prompt", "a cat", *how, *arguments])


def test_both_ways_round_agree_to_the_last_bit(place: Path) -> None:
    there = json.loads(run(place, "cat.png", "coffee.jpg", "--json").stdout)
    back = json.loads(run(place, "coffee.jpg", "cat.png", "--json").stdout)
    first, second = there["comparison"], back["comparison"]
    assert first["probability_a"] + second["probability_a"] == 1.0
    assert {first["winner"], second["winner"]} == {"a", "b"}
    assert first["score_a"] == second["score_b"]
    assert there["image_a"] == back["image_b"] == str(place / "cat.png")
    assert there["prompt"] == "a cat"


def test_rows_hold_the_scores_and_the_probabilities(place: Path) -> None:
    result = run(place, "cat.png", "coffee.jpg", "--axis", "style")
    assert result.exit_code == 0, result.stderr
    head, a, b = [line.split("\t") for line in result.stdout.splitlines()]
    assert head == [
        "side",
        "image",
        "overall",
        "alignment",
        "coherence",
        "style",
        "probability",
    ]
    assert (a[0], b[0]) == ("a", "b")
    assert float(a[-1]) + float(b[-1]) == pytest.approx(1.0, abs=2e-6)


@pytest.mark.parametrize("as_json", [True, False])
def test_an_image_with_itself_is_a_tie(
    place: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    result = run(place, "cat.png", "cat.png", *(["--json"] if as_json else []))
    assert result.exit_code == 0
    if as_json:
        comparison = json.loads(result.stdout)["comparison"]
        assert (comparison["winner"], comparison["probability"]) == ("tie", 0.5)
    else:
        assert result.stdout.count("0.500000") == 2


@pytest.mark.parametrize("as_json", [True, False])
def test_a_bad_image_is_status_1(place: Path, as_json: bool) -> None:
    result = run(place, "cat.png", "nowhere.png", *(["--json"] if as_json else []))
    assert result.exit_code == 1
    assert "image_b" in result.stderr
    if as_json:
        assert json.loads(result.stdout)["error"]["code"] == "image_missing"
    else:
        assert result.stdout == ""


def test_an_unknown_axis_is_status_2(place: Path) -> None:
    result = run(place, "cat.png", "coffee.jpg", "--axis", "beauty")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "[axis_missing]" in result.stderr


def test_on_a_terminal_the_answer_is_a_sentence(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from librehps.cli.compare import compare

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    images = (str(place / "cat.png"), str(place / "coffee.jpg"))
    compare(*images, prompt="a cat", model=str(place / "model"), device="cpu")
    assert "is preferred on overall with probability 0." in capsys.readouterr().out
    compare(images[0], images[0], prompt="a cat", model=str(place / "model"), device="cpu")
    assert "a tie on overall" in capsys.readouterr().out


def calibration(model: str, slope: float) -> str:
    fits = {"<global>": {"parameters": {"a": slope, "b": 0.0}, "num_pairs": 9, "num_ties": 0}}
    return json.dumps(
        {
            "format_version": 1,
            "kind": "platt",
            "axis": "overall",
            "ties": "half",
            "model": model,
            "fits": fits,
        }
    )


def test_a_calibration_that_is_named_stands_in_for_one_of_another_model(
    place: Path, tmp_path: Path
) -> None:
    from librehps.calibration import fingerprint

    shutil.copytree(place / "model", tmp_path / "model")
    own, foreign = fingerprint(tmp_path / "model"), "sha256:other"
    beside = tmp_path / "model" / "calibration.json"
    beside.write_text(calibration(foreign, 1.0))
    (tmp_path / "named.json").write_text(calibration(own, 3.0))
    (tmp_path / "foreign.json").write_text(calibration(foreign, 3.0))

    def compared(*arguments: str) -> Result:
        images = [str(place / name) for name in ("cat.png", "coffee.jpg")]
        how = ["--prompt", "a cat", "--model", str(tmp_path / "model"), "--device", "cpu", "--json"]
        return CliRunner().invoke(app, ["compare", *images, *how, "--deterministic", *arguments])

    refused = compared()
    assert (refused.exit_code, "[calibration_other_model]" in refused.stderr) == (2, True)
    named = compared("--calibration", str(tmp_path / "named.json"))
    assert named.exit_code == 0, named.stderr
    # That of another model is no better for being named.
    assert compared("--calibration", str(tmp_path / "foreign.json")).exit_code == 2
    # Even one that is damaged does not matter where another one is named.
    beside.write_text("{")
    damaged = compared("--calibration", str(tmp_path / "named.json"))
    assert damaged.stdout == named.stdout
    beside.write_text((tmp_path / "named.json").read_text())
    assert compared().stdout == named.stdout
