"""Who may begin in a folder, who holds it, and what is lost when a run stops."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from librehps.errors import CheckpointError, ConfigError, InputError
from librehps.training import train
from librehps.training.folder import held_folder, remove_leftovers
from librehps.training.journal import read_journal
from librehps.training.recipe import Recipe, read_recipe

Make = Callable[..., Recipe]


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "last" / "model.safetensors")


@pytest.fixture
def recipe(tmp_path: Path, settings: dict[str, Any]) -> Make:
    """Return a function that makes the recipe of the settings, with overrides."""

    def make(*overrides: str) -> Recipe:
        path = tmp_path / "recipe.yaml"
        path.write_text(json.dumps(settings))
        return read_recipe(path, overrides)

    return make


def test_a_new_run_needs_a_folder_without_one_and_a_resumed_one_needs_a_run(
    tmp_path: Path,
) -> None:
    out = tmp_path / "new" / "run"
    with held_folder(out, resume=False) as found:
        assert found is None
    assert list(out.iterdir()) == []
    with pytest.raises(ConfigError, match="no run to resume"), held_folder(out, resume=True):
        pass
    (out / "recipe.json").write_text("{}")
    for resume in (False, True):
        with held_folder(out, resume=resume) as found:
            assert found is None
    (out / "holiday.jpg").write_bytes(b"")
    with (
        pytest.raises(ConfigError, match="not empty") as caught,
        held_folder(out, resume=False),
    ):
        pass
    assert caught.value.code == "run_folder"


def test_what_a_kill_left_is_taken_away_and_stands_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "snapshots" / ".step-00000009.part").mkdir(parents=True)
    for name in (".best.0a1b2c3d.tmp", ".last-adapter.part"):
        (tmp_path / name).mkdir()
    for name in (".recipe.json.1afa8fmj", ".log.jsonl.abcdefgh", ".bad-pairs.jsonl.abcdefgh"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".hidden").write_text("somebody's")
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "snapshots"]
    assert list((tmp_path / "snapshots").iterdir()) == []
    shutil.rmtree(tmp_path / "snapshots")
    (tmp_path / ".hidden").unlink()
    # Killed while it wrote its recipe, a run has not begun, and another may.
    (tmp_path / ".recipe.json.1afa8fmj").write_text("half")
    with held_folder(tmp_path, resume=False):
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_what_cannot_be_resumed_is_refused(tmp_path: Path, recipe: Make) -> None:
    short = recipe("run.steps=2", "data.validation=null")
    with pytest.raises(ConfigError, match="no run to resume"):
        train(short, tmp_path / "nothing", resume=True, device="cpu")
    train(short, tmp_path / "run", device="cpu")
    longer = recipe("run.steps=3", "data.validation=null")
    with pytest.raises(CheckpointError, match="another run"):
        train(longer, tmp_path / "run", resume=True, device="cpu")
    before = weights(tmp_path / "run")
    # What writing leaves behind where it is killed goes with the next try.
    for name in (".best.0a1b2c3d.tmp", ".last.0a1b2c3d.tmp", "snapshots/.step-00000009.part"):
        (tmp_path / "run" / name).mkdir()
    assert train(short, tmp_path / "run", resume=True, device="cpu").steps == 2
    assert all(before[k].equal(tensor) for k, tensor in weights(tmp_path / "run").items())
    assert not [path for path in (tmp_path / "run").rglob(".*") if path.is_dir()]


@pytest.mark.skipif(os.name != "posix", reason="there are no such locks")
def test_a_folder_is_held_by_one_process_and_free_when_that_is_gone(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from librehps.training.folder import held_folder\n"
        "with held_folder(pathlib.Path(sys.argv[1]), resume=False):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(ConfigError, match=f"written by process {other.pid}") as caught,
            held_folder(tmp_path, resume=False),
        ):
            pass
        assert caught.value.code == "run_folder"
        other.kill()
    with held_folder(tmp_path, resume=False):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inside", ["file/run", "file"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises((InputError, ConfigError), match="file") as caught,
        held_folder(tmp_path / inside, resume=False),
    ):
        pass
    assert caught.value.code in {"out_unwritable", "run_folder"}


def test_a_disk_that_is_full_loses_nothing_that_was_saved(
    tmp_path: Path, recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    short = recipe("run.steps=4", "run.evaluate_every=0", "data.validation=null")
    train(short, tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patched:
        patched.setattr("librehps.training.trainer.save_checkpoint", full)
        with pytest.raises(InputError, match="No space left") as caught:
            train(short, tmp_path / "run", device="cpu")
    assert caught.value.code == "out_unwritable"
    assert "step-00000004 is safe: resume" in str(caught.value)
    train(short, tmp_path / "run", resume=True, device="cpu")
    one, two = (weights(tmp_path / name) for name in ("whole", "run"))
    assert all(one[name].equal(two[name]) for name in one)


def test_a_run_that_fails_in_its_measurement_keeps_what_it_learned(
    tmp_path: Path, recipe: Make, place: Path
) -> None:
    shutil.copytree(place, tmp_path / "data")
    (first, *_) = json.loads((place / "validation.json").read_text())
    picture = tmp_path / "data" / first["path1"]
    picture.rename(tmp_path / "away.png")
    wanted = recipe(
        f"data.validation={tmp_path / 'data' / 'validation.json'}",
        "run.evaluate_every=0",
        "run.save_every=0",
        "run.steps=3",
    )
    with pytest.raises(InputError, match="cannot be used"):
        train(wanted, tmp_path / "run", device="cpu")
    # Which pair it was is said, and the steps are there.
    assert picture.name in (tmp_path / "run" / "bad-pairs.jsonl").read_text()
    assert [path.name for path in (tmp_path / "run" / "snapshots").iterdir()] == ["step-00000003"]
    (tmp_path / "away.png").rename(picture)
    result = train(wanted, tmp_path / "run", resume=True, device="cpu")
    assert (result.steps, result.best_step) == (3, 3)
    kinds = [(row["kind"], row["step"]) for row in read_journal(tmp_path / "run")]
    assert kinds == [("train", 1), ("train", 2), ("train", 3), ("validation", 3)]


def test_a_run_without_a_snapshot_begins_again_by_its_own_recipe(
    tmp_path: Path, recipe: Make
) -> None:
    begun = recipe("run.steps=2", "data.validation=null")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(begun.to_dict()))
    other = recipe("run.steps=3", "data.validation=null", "optimizer.learning_rate=0.9")
    with pytest.raises(CheckpointError, match="another optimizer, run") as caught:
        train(other, tmp_path / "run", resume=True, device="cpu")
    assert caught.value.code == "snapshot_recipe"
    (tmp_path / "run" / "recipe.json").write_text("[1")
    with pytest.raises(CheckpointError, match="cannot be read"):
        train(begun, tmp_path / "run", resume=True, device="cpu")
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(begun.to_dict()))
    assert train(begun, tmp_path / "run", resume=True, device="cpu").steps == 2
