"""``librehps evaluate``: a table, a document, what is refused, and what is left out."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from librehps.cli.main import app
from librehps.data.synthetic import World, write_split
from librehps.testing.tiny import make_tiny_checkpoint
from tests.evaluate import suite_samples


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
    table, more = result.stdout.rstrip("\n").split("\n\n")
    head, *rows = [line.split("\t") for line in table.splitlines()]
    assert head[:6] == ["suite", "axis", "pairs", "accuracy", "95% interval", "tie rule"]
    assert [row[:2] for row in rows] == [
        ["hpdv3", axis] for axis in ("overall", "alignment", "coherence", "style")
    ]
    assert {row[5] for row in rows} == {"strict"}
    assert {len(row) for row in rows} == {len(head)}
    assert [line.split("\t")[1] for line in more.splitlines()][1:] == [row[1] for row in rows]
    # Four pairs are too few to fit on, which is said and not hidden.
    assert {row[7] for row in rows} == {"-"}
    assert "calibration_too_few" in result.stderr
    document = json.loads(
        run(
            place, *arguments, "--json", "--calibrator", "lapse", "--tie-rule", "half_credit"
        ).stdout
    )
    assert document["calibrator"] == "lapse"
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
    table = result.stdout.split("\n\n")[0]
    rows = [line.split("\t") for line in table.splitlines()]
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
        (("--suite", "hpdv3", "--data", world, "--calibrator", "lapes"), "did you mean 'lapse'"),
        (("--suite", "hpdv3", "--data", world, "--column", "prompt=x"), "[data_columns]"),
        (("--suite", "csv", "--data", world, "--column", "prompt"), "NAME=VALUE"),
        (("--suite", "videoalign", "--data", world / "no-such.csv"), "[suite_video]"),
    ):
        result = run(place, *arguments, "--out", out)
        assert result.exit_code == 2, result.output
        assert said in " ".join(result.stderr.split())
        assert result.stdout == ""
    assert not out.exists()


def test_a_table_of_ones_own_and_rankings_with_roots(place: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    rows = [
        {"caption": f"p{n // 2}", "left": f"{n}-1.png", "right": f"{n}-2.png", "winner": "R"}
        for n in range(6)
    ]
    suite_samples.hpdv2(pictures, count=4)
    table = suite_samples.save_csv(tmp_path / "own.csv", rows)
    columns = ("prompt=caption", "image_a=left", "image_b=right", "preferred=winner")
    arguments = (
        *("--suite", "csv", "--data", table, "--suite", "hpdv2", "--data", pictures / "test.json"),
        *("--root", pictures, "--fit-share", 0, "--out", tmp_path / "out"),
        *(word for column in columns for word in ("--column", column)),
        *("--label", "L=1", "--label", "R=0"),
    )
    # Of the table, the last two rows name pictures that are not there.
    result = run(place, *arguments, "--max-bad-share", 0.4)
    assert result.exit_code == 1, result.stderr
    assert "4 pictures have no score" in result.stderr
    pairs, _, ranked = result.stdout.rstrip("\n").split("\n\n")
    rows_of = [line.split("\t") for line in pairs.splitlines()[1:]]
    name = f"{tmp_path.name}/own"
    assert [row[:3] for row in rows_of[:2]] == [
        [name, "overall", "4"],
        ["hpdv2/test", "overall", "24"],
    ]
    assert (rows_of[0][5], rows_of[1][5]) == ("strict", "hpsv2")
    head, row = [line.split("\t") for line in ranked.splitlines()]
    assert head[:2] == ["suite", "rankings"]
    assert row[:3] == ["hpdv2/test", "4", "4"]


def test_pictures_inside_a_file_are_scored_and_shown(place: Path, tmp_path: Path) -> None:
    data = suite_samples.genai_bench(tmp_path)
    result = run(
        place, "--suite", "genai-bench", "--data", data, "--out", tmp_path / "out", "--json"
    )
    assert result.exit_code == 0, result.stderr
    (suite,) = json.loads(result.stdout)["suites"]
    assert (suite["name"], suite["num_pairs"]) == ("genai-bench/test", 6)
    assert "no picture" not in (tmp_path / "out" / "report.html").read_text()


def test_a_calibration_of_another_model_is_no_obstacle(place: Path, tmp_path: Path) -> None:
    make_tiny_checkpoint(tmp_path / "model", heads=("multi_axis",))
    foreign = {"format_version": 1, "kind": "platt", "axis": "overall", "model": "sha256:other"}
    fits = {"<global>": {"parameters": {"a": 1.0, "b": 0.0}, "num_pairs": 9, "num_ties": 0}}
    (tmp_path / "model" / "calibration.json").write_text(
        json.dumps({**foreign, "ties": "half", "fits": fits})
    )
    arguments = ("--suite", "hpdv3", "--data", place / "world", "--out", tmp_path / "out")
    how = ("--model", str(tmp_path / "model"), "--device", "cpu", "--limit", "6", "--no-html")
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments), *how])
    assert result.exit_code == 0, result.stderr


def test_killed_at_any_moment_it_ends_with_the_same_results(place: Path, tmp_path: Path) -> None:
    def command(out: Path) -> list[str]:
        how = ["--model", str(place / "model"), "--device", "cpu", "--dtype", "float32"]
        data = ["--suite", "hpdv3", "--data", str(place / "world"), "--out", str(out)]
        # In small batches, so that there are many moments.
        return [sys.executable, "-m", "librehps", "evaluate", *how, *data, "--batch-tokens", "64"]

    def result(out: Path) -> dict[str, list[str]]:
        return {
            path.name: [
                line for line in path.read_text("utf-8").splitlines() if '"created"' not in line
            ]
            for path in out.iterdir()
            if path.is_file()
        }

    began = time.monotonic()
    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    whole = time.monotonic() - began
    moments = random.Random(7)
    for _ in range(4):
        process = subprocess.Popen(
            command(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            # The first half of it goes into imports.
            process.wait(timeout=whole * moments.uniform(0.5, 1.0))
        process.kill()
        process.wait()
    subprocess.run(command(tmp_path / "killed"), check=True, capture_output=True)
    assert result(tmp_path / "killed") == result(tmp_path / "whole")
