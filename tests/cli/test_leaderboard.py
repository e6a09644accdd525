"""``librehps leaderboard``: a table, a document, what is refused, and what is left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from librehps.calibration import Calibration, Fit, Platt, save_calibration
from librehps.cli.main import app
from librehps.testing.tiny import make_tiny_checkpoint


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("leaderboard")
    make_tiny_checkpoint(place / "model", heads=("multi_axis",))
    draw(place / "data", ("one", "other"), ("x", "y"))
    return place


def draw(root: Path, generators: tuple[str, ...], categories: tuple[str, ...]) -> Path:
    rng = np.random.default_rng(0)
    for generator in generators:
        for category in categories:
            folder = root / generator / category
            folder.mkdir(parents=True)
            for number in range(3):
                pixels = rng.integers(0, 255, (48, 48, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
                (folder / f"{number}.txt").write_text(f"a {category} of {number}")
    return root


def run(place: Path, *arguments: object) -> Result:
    how = ["--model", str(place / "model"), "--device", "cpu", "--dtype", "float32"]
    shared = ["--cache", str(place / "cache")]
    return CliRunner().invoke(app, ["leaderboard", *how, *shared, *map(str, arguments)])


def test_help_says_what_is_compared_and_how() -> None:
    result = CliRunner().invoke(app, ["leaderboard", "--help"])
    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    for words in ("equal scores are half a win", "Bradley and Terry", "bad-items.jsonl"):
        assert words in said
    assert "librehps leaderboard --data pictures --prompts prompts --out report" in said


def test_a_table_and_a_document(place: Path, tmp_path: Path) -> None:
    arguments = ("--data", place / "data", "--out", tmp_path / "out")
    result = run(place, *arguments)
    assert result.exit_code == 0, result.stderr
    head, *rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert head[:4] == ["rank", "95% interval", "generator", "strength"]
    assert head[4:7] == ["95% interval", "won", "comparisons"]
    assert head[-2:] == ["x", "y"]
    assert {row[2] for row in rows} == {"one", "other"}
    assert [row[6] for row in rows] == ["6", "6"]
    assert sum(float(row[3]) for row in rows) == pytest.approx(0.0, abs=2e-4)
    result = run(place, *arguments, "--json", "--axis", "style", "--rule", "higher", "--no-html")
    document = json.loads(result.stdout)
    assert (document["axis"], document["ranking"]["rule"]["name"]) == ("style", "higher")
    assert document["folder"] == str(tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report == {key: value for key, value in document.items() if key != "folder"}
    assert not (tmp_path / "out" / "report.html").exists()
    assert (tmp_path / "out" / "strengths.svg").exists()


def test_a_calibration_is_used_and_said(place: Path, tmp_path: Path) -> None:
    fits = Calibration("platt", {"<global>": Fit(Platt(2.0, 0.0))}, axis="overall")
    save_calibration(fits, tmp_path / "calibration.json")
    given = ("--calibration", tmp_path / "calibration.json")
    result = run(place, "--data", place / "data", "--out", tmp_path / "out", "--json", *given)
    assert result.exit_code == 0, result.stderr
    rule = json.loads(result.stdout)["ranking"]["rule"]
    assert rule["calibrator"]["kind"] == "platt"
    result = run(place, "--data", place / "data", "--out", tmp_path, "--axis", "style", *given)
    assert result.exit_code == 2
    assert "[calibration_axis]" in result.stderr


def test_what_limits_the_ranking_is_said_and_is_no_failure(place: Path, tmp_path: Path) -> None:
    data = draw(tmp_path / "data", ("alone",), ("x",))
    result = run(place, "--data", data, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "There is one generator" in result.stderr
    row = result.stdout.splitlines()[1].split("\t")
    assert row[:4] == ["-", "-", "alone", "-"]


def test_a_picture_that_cannot_be_scored_is_status_1(place: Path, tmp_path: Path) -> None:
    data = draw(tmp_path / "data", ("one", "other"), ("x",))
    (data / "one" / "x" / "0.png").write_bytes(b"no picture")
    arguments = ("--data", data, "--out", tmp_path / "out")
    result = run(place, *arguments, "--max-bad-share", 0.2)
    assert result.exit_code == 1
    assert "1 pictures have no score" in result.stderr
    assert result.stdout.startswith("rank\t")
    result = run(place, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "[evaluation_bad_items]" in result.stderr


def test_what_cannot_be_read_or_written_is_a_message(place: Path, tmp_path: Path) -> None:
    data, blocked = place / "data", tmp_path / "blocked"
    blocked.write_text("a file")
    (tmp_path / "empty").mkdir()
    (tmp_path / "prompts.json").write_text('{"x": ["a"]}')
    for arguments, status, code in (
        (("--data", data, "--out", blocked / "out"), 1, "[out_unwritable]"),
        (("--data", tmp_path / "gone.json"), 1, "[data_file]"),
        (("--data", tmp_path / "empty"), 1, "[data_file]"),
        (("--data", data, "--prompts", tmp_path / "prompts.json"), 1, "[prompt_category]"),
        (("--data", tmp_path / "prompts.json", "--prompts", data), 2, "[leaderboard_prompts]"),
        (("--data", data, "--rule", "highest"), 2, "did you mean 'higher'"),
        (("--data", data, "--axis", "tempo"), 2, "[name_unknown]"),
        (("--data", data, "--axis", "temporal"), 2, "[axis_missing]"),
    ):
        out = () if "--out" in arguments else ("--out", tmp_path / "out")
        result = run(place, *arguments, *out)
        assert (result.exit_code, result.stdout) == (status, ""), result.output
        assert code in " ".join(result.stderr.split())
        assert "Traceback" not in result.stderr
