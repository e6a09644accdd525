"""``librehps evaluate``: a table, a document, what is refused, and what is left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from librehps.cli.main import app
from librehps.data.synthetic import World, write_split
from librehps.testing.tiny import make_tiny_checkpoint


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("evaluate")
    make_tiny_checkpoint(place / "model", heads=("multi_axis",))
    write_split(place / "world", World(side=64), "test", 40)
    return place


def run(place: Path, *arguments: object) -> Result:
    how = ["--model", str(place / "model"), "--device", "cpu", "--dtype", "float32"]
    shared = ["--cache", str(place / "cache")]
    return CliRunner().invoke(app, ["evaluate", *how, *shared, *map(str, arguments)])


def test_a_table_with_the_rule_beside_every_number(place: Path, tmp_path: Path) -> None:
    world = place / "world"
    arguments = ("--suite", "hpdv3", "--data", world, "--out", tmp_path / "out")
    result = run(place, *arguments)
    assert result.exit_code == 0, result.stderr
    head, *rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert head[:6] == ["suite", "axis", "pairs", "accuracy", "95% interval", "tie rule"]
    assert [row[:2] for row in rows] == [
        ["hpdv3", axis] for axis in ("overall", "alignment", "coherence", "style")
    ]
    assert {row[5] for row in rows} == {"strict"}
    assert {len(row) for row in rows} == {len(head)}
    # Four pairs are too few to fit on, which is said and not hidden.
    assert {row[7] for row in rows} == {"-"}
    assert "calibration_too_few" in result.stderr
    document = json.loads(run(place, *arguments, "--json", "--tie-rule", "half_credit").stdout)
    assert document["suites"][0]["axes"]["style"]["tie_rule"]["name"] == "half_credit"
    assert document["folder"] == str(tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report == {key: value for key, value in document.items() if key != "folder"}
    page = tmp_path / "out" / "report.html"
    assert report["model"]["fingerprint"] in page.read_text()
    assert "data:image/jpeg;base64," in page.read_text()


def test_several_suites_have_a_mean(place: Path, tmp_path: Path) -> None:
    world = place / "world"
    result = run(
        place,
        *("--suite", "hpdv3", "--data", world, "--suite", "hpdv3-layout"),
        *("--data", world / "test.json", "--out", tmp_path / "out", "--limit", 20),
        "--no-html",
    )
    assert result.exit_code == 0, result.stderr
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows[1:]] == ["hpdv3"] * 4 + ["world/test"] * 4 + ["mean by pairs"]
    assert rows[-1][2] == str(int(rows[1][2]) + int(rows[5][2]))
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_picture_that_cannot_be_scored_is_status_1(place: Path, tmp_path: Path) -> None:
    write_split(tmp_path / "world", World(side=64), "test", 12)
    next((tmp_path / "world" / "images" / "test").glob("*.png")).write_bytes(b"no picture")
    arguments = ("--suite", "hpdv3", "--data", tmp_path / "world", "--out", tmp_path / "out")
    result = run(place, *arguments, "--max-bad-share", 0.2)
    assert result.exit_code == 1
    assert "1 pictures have no score" in result.stderr
    assert result.stdout.startswith("suite\taxis")
    result = run(place, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "[evaluation_bad_items]" in result.stderr


def test_wrong_usage_is_status_2(place: Path, tmp_path: Path) -> None:
    world, out = place / "world", tmp_path / "out"
    for arguments, said in (
        (("--suite", "hpdv3", "--data", world, "--data", world), "give one for each"),
        (("--suite", "hpd3", "--data", world), "did you mean 'hpdv3'"),
        (("--suite", "hpdv3", "--data", world / "test.json"), "[suite_data]"),
        (("--suite", "hpdv3", "--data", world, "--tie-rule", "loose"), "[name_unknown]"),
    ):
        result = run(place, *arguments, "--out", out)
        assert result.exit_code == 2, result.output
        assert said in " ".join(result.stderr.split())
        assert result.stdout == ""
    assert not out.exists()
