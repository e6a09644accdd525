"""``librehps train``: wrong usage is named, and a run says what it found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from librehps.cli.main import app
from librehps.data.synthetic import World, write_split
from librehps.testing.tiny import make_tiny_checkpoint


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("train")
    make_tiny_checkpoint(place / "start", heads=("multi_axis",), trained=False)
    write_split(place, World(side=64), "train", 4)
    data = {"train": str(place / "train.json"), "validation": str(place / "train.json")}
    recipe = {"start": str(place / "start"), "data": data, "run": {"steps": 2, "batch_pairs": 2}}
    (place / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return place


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def test_a_run_reports_what_it_measured(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run(place / "recipe.yaml", "run.steps=3", "--out", out, "--device", "cpu", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["steps"], document["best_step"]) == (3, 3)
    assert set(document["validation"]["axes"]) == {"overall", "alignment", "coherence", "style"}
    again = run(place / "recipe.yaml", "run.steps=3", "--out", out, "--device", "cpu", "--resume")
    assert again.exit_code == 0, again.stderr
    assert again.stdout.splitlines()[0].split("\t")[0] == "axis"


def test_a_run_that_has_no_snapshot_yet_begins_again_and_says_so(
    place: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    whole = (place / "recipe.yaml", "--out", out, "--device", "cpu")
    assert run(*whole).exit_code == 0
    shutil.rmtree(out / "snapshots")
    again = run(*whole, "--resume")
    assert again.exit_code == 0, again.stderr
    assert "no snapshot yet" in again.stderr
    assert "no snapshot yet" not in run(*whole, "--resume").stderr


def test_without_a_validation_set_nobody_looks_for_the_best(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = (place / "recipe.yaml", "data.validation=null", "--out", out, "--device", "cpu")
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert "no best/" in result.stdout
    assert not (out / "best").exists()
    document = json.loads(run(*arguments, "--resume", "--json").stdout)
    assert (document["best_step"], document["validation"]) == (None, None)


def test_wrong_usage_is_named(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run(place / "recipe.yaml", "run.stpes=3", "--out", out)
    assert result.exit_code == 2
    assert "did you mean 'steps'" in result.stderr
    assert not out.exists()
    result = run(tmp_path / "none.yaml", "--out", out)
    assert result.exit_code == 2
    assert "recipe_file" in result.stderr


def test_missing_packages_are_named(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("librehps.cli.train.NEEDED", ("accelerate", "no_such_package"))
    result = run(place / "recipe.yaml", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "no_such_package" in result.stderr
    assert "librehps[train]" in result.stderr
