"""``librehps synth``: a folder that is a data set, and can be looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from librehps.cli.main import app
from librehps.data import read_hpdv3
from librehps.data.synthetic.files import read_truth


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["synth", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_a_data_set_of_four_splits_with_a_sheet(tmp_path: Path) -> None:
    out = tmp_path / "world"
    code, stdout, stderr = run("--pairs", 20, "--out", out, "--side", 48, "--json")
    assert code == 0, stderr
    document = json.loads(stdout)
    assert document["pairs"] == {"train": 20, "validation": 1, "test": 4, "test_held_out": 1}
    for name, count in document["pairs"].items():
        assert read_hpdv3(out / f"{name}.json", check_files=True).rows == count
        assert len((out / f"{name}.truth.jsonl").read_text().splitlines()) == count
    with Image.open(document["contact_sheet"]) as sheet:
        assert min(sheet.size) > 200
    code, stdout, _ = run("--pairs", 20, "--out", out, "--side", 48, "--test", 0)
    assert code == 0
    assert [line.split("\t")[0] for line in stdout.splitlines()] == [
        "split",
        "train",
        "validation",
        "test_held_out",
    ]


def test_an_easy_world_that_is_asked_about_both_ways_round(tmp_path: Path) -> None:
    out = tmp_path / "easy"
    easy = ("--faintest", 0.6, "--most-objects", 1, "--mirrored")
    code, stdout, stderr = run("--pairs", 40, "--out", out, "--side", 48, *easy, "--json")
    assert code == 0, stderr
    document = json.loads(stdout)
    assert document["pairs"]["train"] > 40
    assert (document["pairs"]["validation"], document["pairs"]["test"]) == (2, 8)
    truth = read_truth(out / "train.truth.jsonl")
    plain = {key: row for key, row in truth.items() if not key.endswith("-mirror")}
    assert len(plain) == 40
    for row in plain.values():
        assert row["num_objects"] == 1
        assert all(fault["strength"] >= 0.6 for fault in row["faults_a"] + row["faults_b"])
    rows = read_hpdv3(out / "train.json", check_files=True).comparisons
    by_key = {row.key: row for row in rows}
    for key in truth.keys() - plain.keys():
        mirrored, pair = by_key[key], by_key[key.removesuffix("-mirror")]
        assert {mirrored.image_a, mirrored.image_b} == {pair.image_a, pair.image_b}
        assert mirrored.prompt != pair.prompt
    assert len(list((out / "images" / "train").iterdir())) == 80


def test_one_object_that_is_placed(tmp_path: Path) -> None:
    out = tmp_path / "placed"
    plain = ("--pairs", 10, "--out", out, "--side", 48, "--test", 0, "--held-out", 0)
    code, stdout, stderr = run(
        *plain, "--placed", "--most-objects", 1, "--faults", "relation", "--json"
    )
    assert code == 0, stderr
    assert json.loads(stdout)["placed"] is True
    rows = read_hpdv3(out / "train.json", check_files=True).comparisons
    assert all("the middle" in row.prompt for row in rows)
    code, _, stderr = run(*plain)
    assert code != 0
    assert "another folder" in stderr


def test_votes_can_be_as_sure_on_many_objects_as_on_one(tmp_path: Path) -> None:
    plain = ("--pairs", 12, "--side", 48, "--test", 0, "--held-out", 0, "--json")
    truth = {}
    for clutter in (1, 3):
        out = tmp_path / str(clutter)
        code, stdout, stderr = run(*plain, "--out", out, "--clutter", clutter)
        assert code == 0, stderr
        assert json.loads(stdout)["clutter"] == clutter
        truth[clutter] = read_truth(out / "train.truth.jsonl")
    for key, sure in truth[1].items():
        unsure = truth[3][key]
        assert sure["noise"] == 1.0
        assert unsure["noise"] == 3.0 ** (unsure["num_objects"] - 1)
        # The pictures are the same; what people make of them is not.
        assert (sure["scene"], sure["faults_a"]) == (unsure["scene"], unsure["faults_a"])
    assert any(truth[1][key]["probabilities"] != truth[3][key]["probabilities"] for key in truth[1])
    # Without a word, votes get noisier; and other votes are another world.
    assert json.loads(run(*plain, "--out", tmp_path / "3")[1])["clutter"] == 3
    code, _, stderr = run(*plain, "--out", tmp_path / "1")
    assert code == 2
    assert "world_other" in stderr


def test_faults_that_are_named_are_the_only_ones(tmp_path: Path) -> None:
    out = tmp_path / "some"
    named = ("--faults", "relation=3, shape", "--test", 0, "--held-out", 0)
    code, stdout, stderr = run("--pairs", 30, "--out", out, "--side", 48, *named, "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["faults"] == {"relation": 3.0, "shape": 1.0}
    rows = read_truth(out / "train.truth.jsonl").values()
    kinds = {fault["kind"] for row in rows for fault in row["faults_a"] + row["faults_b"]}
    assert kinds == {"relation", "shape"}
    # Another mix of faults is another world.
    code, _, stderr = run("--pairs", 30, "--out", out, "--side", 48, "--faults", "shape")
    assert code == 2
    assert "world_other" in stderr


def test_another_world_and_a_file_in_the_way_are_refused(tmp_path: Path) -> None:
    assert run("--pairs", 1, "--out", tmp_path / "w", "--side", 48)[0] == 0
    code, stdout, stderr = run("--pairs", 1, "--out", tmp_path / "w", "--side", 48, "--seed", 1)
    assert (code, stdout) == (2, "")
    assert "world_other" in stderr
    (tmp_path / "file").write_text("")
    code, stdout, stderr = run("--pairs", 1, "--out", tmp_path / "file")
    assert (code, stdout) == (1, "")
    assert "out_unwritable" in stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ["--pairs", 0],
        ["--pairs", 5, "--side", 20],
        [],
        ["--pairs", 5, "--faults", "relation,relation"],
        ["--pairs", 5, "--faults", "shape=much"],
        ["--pairs", 5, "--faults", "shape=-1"],
        ["--pairs", 5, "--faults", "form"],
        ["--pairs", 5, "--clutter", 0.5],
    ],
)
def test_wrong_usage_draws_nothing(tmp_path: Path, wrong: list[object]) -> None:
    code, stdout, _ = run("--out", tmp_path / "w", *wrong)
    assert (code, stdout) == (2, "")
    assert not (tmp_path / "w").exists()
