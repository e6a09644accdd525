"""Runs from begin to end, stopped anywhere and taken up again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from librehps import LibreHPS
from librehps.data import Comparison, write_hpdv3
from librehps.data.synthetic import Fault, World
from librehps.data.synthetic.files import comparison_of
from librehps.errors import CheckpointError, ConfigError, InputError
from librehps.heads import AttentionPoolingHead, AxisTokensHead
from librehps.testing.tiny import make_tiny_checkpoint, tiny_model, tiny_processor
from librehps.training.journal import read_journal
from librehps.training.recipe import (
    DataRecipe,
    OptimizerRecipe,
    Recipe,
    RunRecipe,
    read_recipe,
)
from librehps.training.trainer import train


def recipe(tmp_path: Path, settings: dict[str, Any], *overrides: str) -> Recipe:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    return read_recipe(path, overrides)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "last" / "model.safetensors")


def same(one: Path, two: Path) -> bool:
    first, second = weights(one), weights(two)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_a_run_leaves_what_a_person_needs(tmp_path: Path, settings: dict[str, Any]) -> None:
    out = tmp_path / "run"
    result = train(recipe(tmp_path, settings), out, device="cpu")
    assert (result.steps, result.stopped_early, result.bad_pairs) == (8, False, 0)
    rows = read_journal(out)
    assert [row["step"] for row in rows if row["kind"] == "train"] == list(range(1, 9))
    assert [row["step"] for row in rows if row["kind"] == "validation"] == [3, 6, 8]
    best = min((r for r in rows if r["kind"] == "validation"), key=lambda row: row["loss"])
    assert result.best_step == best["step"]
    assert (out / "curves.png").stat().st_size > 5000
    assert list((out / "tensorboard").iterdir())
    assert json.loads((out / "recipe.json").read_text())["run"]["steps"] == 8
    assert len(list((out / "snapshots").iterdir())) == 2
    # Four batches to an epoch: the second epoch has begun.
    assert rows[-2]["epoch"] >= 1
    for name in ("best", "last"):
        scorer = LibreHPS.from_pretrained(out / name, device="cpu")
        assert scorer.trained
    start = load_file(Path(settings["start"]) / "model.safetensors")
    assert not all(torch.equal(tensor, start[name]) for name, tensor in weights(out).items())
    with pytest.raises(ConfigError, match="not empty"):
        train(recipe(tmp_path, settings), out, device="cpu")


def test_heads_that_read_several_tokens_are_trained(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    heads = {
        "attention": AttentionPoolingHead(hidden_size=48),
        "tokens": AxisTokensHead(hidden_size=48),
    }
    start = tmp_path / "start"
    tiny_model(heads=heads).save_pretrained(start, processor=tiny_processor())
    settings |= {"start": str(start)}
    settings["run"] |= {"steps": 2}
    train(recipe(tmp_path, settings), tmp_path / "run", device="cpu")
    before, after = load_file(start / "model.safetensors"), weights(tmp_path / "run")
    learnt = [name for name in after if "_head." in name]
    assert len(learnt) == 5
    assert not any(torch.equal(before[name], after[name]) for name in learnt)


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_weights(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    settings["run"] |= {"steps": 30, "save_every": 1}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(recipe(tmp_path, settings), whole, device="cpu")
    code = (
        "import sys; from pathlib import Path; from librehps.training import read_recipe, train\n"
        # Sums are cut by the number of threads, and on some CPUs their bits depend on it.
        f"import torch; torch.set_num_threads({torch.get_num_threads()}); print('up', flush=True)\n"
        "train(read_recipe(Path(sys.argv[1])), Path(sys.argv[2]), device='cpu',"
        " resume=Path(sys.argv[2], 'recipe.json').exists())"
    )
    chance = random.Random(7)
    kills = 0
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "recipe.yaml"), str(broken)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        # Wherever it is then: reading, in a step, writing a snapshot.
        time.sleep(chance.uniform(0.2, 1.2))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert kills >= 3
    resume = (broken / "recipe.json").exists()
    result = train(recipe(tmp_path, settings), broken, resume=resume, device="cpu")
    assert result.steps == 30
    assert same(whole, broken)
    losses = [
        [(row["step"], row["loss"]) for row in read_journal(run) if row["kind"] == "train"]
        for run in (whole, broken)
    ]
    assert losses[0] == losses[1]


def uneven(tmp_path: Path, settings: dict[str, Any], place: Path) -> None:
    """Let a recipe learn from pairs that count differently and of which some lack a label."""
    rows = json.loads((place / "train.json").read_text())
    for number, row in enumerate(rows):
        row["confidence"] = 0.01 if number % 2 else 1.0
        if number % 3:
            row["librehps"]["axis_targets"].pop("style")
    (tmp_path / "uneven.json").write_text(json.dumps(rows))
    settings["data"] |= {"train": str(tmp_path / "uneven.json"), "root": str(place)}


def test_accumulating_two_batches_is_a_batch_of_twice_the_size(
    tmp_path: Path, settings: dict[str, Any], place: Path
) -> None:
    uneven(tmp_path, settings, place)
    once = ["run.steps=1", "run.batch_pairs=4", "data.validation=null"]
    twice = ["run.steps=1", "run.batch_pairs=2", "run.accumulate=2", "data.validation=null"]
    runs = (tmp_path / "once", tmp_path / "twice")
    for overrides, out in zip((once, twice), runs, strict=True):
        train(recipe(tmp_path, settings, *overrides, "loss=bradley_terry"), out, device="cpu")
    losses = [read_journal(out)[0] for out in runs]
    assert losses[0]["loss"] == pytest.approx(losses[1]["loss"], rel=1e-5)
    assert losses[0]["gradient_norm"] == pytest.approx(losses[1]["gradient_norm"], rel=1e-3)


def test_a_limit_on_tokens_changes_the_memory_and_not_the_run(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    settings["loss"] = "bradley_terry"
    runs = (tmp_path / "free", tmp_path / "limited")
    for out, limit in zip(runs, ("null", "1000"), strict=True):
        train(recipe(tmp_path, settings, f"run.batch_tokens={limit}"), out, device="cpu")
    free, limited = (read_journal(out) for out in runs)
    assert [(row["kind"], row["step"]) for row in free] == [
        (row["kind"], row["step"]) for row in limited
    ]
    for one, other in zip(free, limited, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-3)
        if one["kind"] == "validation":
            assert other["axes"]["overall"]["pairs"] == one["axes"]["overall"]["pairs"]
    too_low = recipe(tmp_path, settings, "run.batch_tokens=20")
    with pytest.raises(InputError, match="and 20 are allowed at once"):
        train(too_low, tmp_path / "low", device="cpu")


@pytest.mark.parametrize("lora", [None, {"rank": 2}], ids=["whole", "lora"])
def test_two_processes_do_what_one_does_with_twice_the_batch(
    tmp_path: Path,
    settings: dict[str, Any],
    lora: dict[str, Any] | None,
    parts_of: Callable[[Recipe, int], list[int]],
    place: Path,
) -> None:
    uneven(tmp_path, settings, place)
    settings["lora"] = lora
    settings["loss"] = "bradley_terry"
    settings["run"] |= {"steps": 4, "batch_pairs": 4, "accumulate": 2, "evaluate_every": 2}
    # Each process cuts its own pairs into as many parts as they need: two batches to a step.
    settings["run"] |= {"batch_tokens": 660}
    half = recipe(tmp_path, settings, "run.batch_pairs=2")
    assert parts_of(half, 0) == [1, 2, 1, 1]
    assert parts_of(half, 1) == [1, 1, 2, 1]
    single, double = tmp_path / "single", tmp_path / "double"
    result = train(recipe(tmp_path, settings), single, device="cpu")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
            *("-m", "librehps", "train", str(tmp_path / "recipe.yaml"), "--out", str(double)),
            # Where there is nothing but CPUs, nobody need say so.
            *(("--device", "cpu") if torch.accelerator.is_available() else ()),
            "run.batch_pairs=2",
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("4 steps") == 1
    assert result.last is not None
    one, two = read_journal(single), read_journal(double)
    assert [(row["kind"], row["step"]) for row in one] == [(r["kind"], r["step"]) for r in two]
    for first, second in zip(one, two, strict=True):
        if first["kind"] == "validation":
            assert second["loss"] == pytest.approx(first["loss"], rel=1e-3)
            assert second["axes"]["overall"]["pairs"] == result.last.axes["overall"].pairs
        else:
            assert second["loss"] == pytest.approx(first["loss"], rel=1e-3)
            assert second["gradient_norm"] == pytest.approx(first["gradient_norm"], rel=1e-2)
    assert {path.name for path in double.iterdir()} == {path.name for path in single.iterdir()}
    assert LibreHPS.from_pretrained(double / "last").trained


def test_checkpointing_of_gradients_changes_nothing_but_memory(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    runs = (tmp_path / "plain", tmp_path / "recomputed")
    for out, flag in zip(runs, ("false", "true"), strict=True):
        overrides = ["run.steps=2", f"run.gradient_checkpointing={flag}", "data.validation=null"]
        train(recipe(tmp_path, settings, *overrides), out, device="cpu")
    assert read_journal(runs[0])[1]["loss"] == pytest.approx(
        read_journal(runs[1])[1]["loss"], rel=1e-6
    )


def test_a_gradient_that_is_not_finite_stops_the_run_before_the_weights_change(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def infinite(*arguments: object) -> torch.Tensor:
        return torch.tensor(float("inf"))

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.utils, "clip_grad_norm_", infinite)
        with pytest.raises(InputError, match="norm is inf at step 1"):
            train(recipe(tmp_path, settings), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "last").exists()
    # It had not begun, so that the next try may have the same folder.
    short = recipe(tmp_path, settings, "run.steps=1", "data.validation=null")
    assert train(short, tmp_path / "run", device="cpu").steps == 1
    assert not (tmp_path / "run" / "best").exists()


def test_patience_ends_a_run_that_gets_no_better(tmp_path: Path, settings: dict[str, Any]) -> None:
    # With a rate of zero nothing changes after the first measurement.
    overrides = ["optimizer.learning_rate=0", "run.evaluate_every=1", "run.patience=2"]
    result = train(recipe(tmp_path, settings, *overrides), tmp_path / "run", device="cpu")
    assert (result.steps, result.stopped_early, result.best_step) == (3, True, 1)


def test_frozen_parts_stay_what_they_were(tmp_path: Path, settings: dict[str, Any]) -> None:
    overrides = ["optimizer.scales={vision: 0, backbone: 0, merger: 0}", "run.steps=2"]
    train(recipe(tmp_path, settings, *overrides), tmp_path / "run", device="cpu")
    start = load_file(Path(settings["start"]) / "model.safetensors")
    changed = {k for k, tensor in weights(tmp_path / "run").items() if not tensor.equal(start[k])}
    assert changed
    assert all(name.startswith("multi_axis_head.") for name in changed)


def test_an_image_that_is_gone_is_listed_and_too_many_stop_the_run(
    tmp_path: Path, settings: dict[str, Any], place: Path
) -> None:
    rows = json.loads((place / "train.json").read_text())
    rows[3]["path1"] = "images/train/nothing.png"
    file = tmp_path / "train.json"
    file.write_text(json.dumps(rows))
    overrides = [f"data.train={file}", f"data.root={place}", "run.steps=5"]
    # What fails before the first step leaves nothing that stands in the way of the next try.
    wrong = recipe(tmp_path, settings, *overrides, f"data.validation={tmp_path / 'no.json'}")
    with pytest.raises(InputError, match="no such file"):
        train(wrong, tmp_path / "strict", device="cpu")
    with pytest.raises(InputError, match="cannot be used") as caught:
        train(recipe(tmp_path, settings, *overrides), tmp_path / "strict", device="cpu")
    assert caught.value.code == "data_bad_rows"
    lenient = recipe(tmp_path, settings, *overrides, "data.max_bad_share=0.2")
    # The list is there too where there were too many.
    (line, *_) = (tmp_path / "strict" / "bad-pairs.jsonl").read_text().splitlines()
    assert "nothing.png" in json.loads(line)["reason"]
    result = train(lenient, tmp_path / "lenient", device="cpu")
    # Once, in however many epochs it was met.
    assert result.bad_pairs == 1
    lines = (tmp_path / "lenient" / "bad-pairs.jsonl").read_text().splitlines()
    assert "nothing.png" in json.loads(lines[0])["reason"]


def test_what_is_left_out_of_the_validation_set_and_of_files_is_counted(
    tmp_path: Path, settings: dict[str, Any], place: Path
) -> None:
    for name, wrong in (("train", {"prompt": 3}), ("validation", {"path1": "images/no.png"})):
        rows = json.loads((place / f"{name}.json").read_text())
        rows[1] |= wrong
        rows[2]["confidence"] = 0.1
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    files = [f"data.{name}={tmp_path / name}.json" for name in ("train", "validation")]
    lenient = ["data.max_bad_share=0.3", "data.min_confidence=0.5", f"data.root={place}"]
    asked = recipe(tmp_path, settings, *files, *lenient, "run.steps=2")
    result = train(asked, tmp_path / "run", device="cpu")
    assert (result.bad_pairs, result.bad_rows, result.below_confidence) == (1, 1, 2)
    (line,) = (tmp_path / "run" / "bad-pairs.jsonl").read_text().splitlines()
    assert "no.png" in json.loads(line)["reason"]


def test_an_axis_that_nobody_has_judged_is_null(
    tmp_path: Path, settings: dict[str, Any], place: Path
) -> None:
    rows = json.loads((place / "validation.json").read_text())
    for row in rows:
        del row["librehps"]["axis_targets"]
    (tmp_path / "validation.json").write_text(json.dumps(rows))
    asked = [f"data.validation={tmp_path / 'validation.json'}", f"data.root={place}", "run.steps=2"]
    result = train(recipe(tmp_path, settings, *asked), tmp_path / "run", device="cpu")
    assert result.last is not None
    style = result.last.to_dict()["axes"]["style"]
    assert style == {"pairs": 0, "decided": 0} | dict.fromkeys(("accuracy", "brier", "bernoulli"))
    json.dumps(result.last.to_dict(), allow_nan=False)
    assert "NaN" not in (tmp_path / "run" / "log.jsonl").read_text()


def test_a_loss_that_needs_a_sigma_refuses_heads_without_before_data_is_read(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    make_tiny_checkpoint(tmp_path / "start", heads=("multi_axis", "scalar"), trained=False)
    overrides = [f"start={tmp_path / 'start'}", "data.train=nothing.json"]
    with pytest.raises(ConfigError, match="the head 'scalar' has none") as caught:
        train(recipe(tmp_path, settings, *overrides), tmp_path / "run", device="cpu")
    assert caught.value.code == "sigma_missing"
    assert list((tmp_path / "run").iterdir()) == []


def test_a_run_is_not_resumed_over_other_comparisons(
    tmp_path: Path, settings: dict[str, Any], place: Path
) -> None:
    uneven(tmp_path, settings, place)
    short = recipe(tmp_path, settings, "run.steps=2", "data.validation=null")
    train(short, tmp_path / "run", device="cpu")
    file = tmp_path / "uneven.json"
    rows = json.loads(file.read_text())
    rows[0]["choice_dist"].reverse()
    file.write_text(json.dumps(rows))
    with pytest.raises(CheckpointError, match="other comparisons") as caught:
        train(short, tmp_path / "run", resume=True, device="cpu")
    assert caught.value.code == "snapshot_data"


def test_a_head_and_a_loss_of_ones_own_are_trained_by_the_example(
    tmp_path: Path, place: Path
) -> None:
    example = Path(__file__).parents[2] / "examples" / "own_head_and_loss.py"
    done = subprocess.run(
        [sys.executable, str(example), str(place / "start"), str(place), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    # The weights that were trained are those of the new head.
    assert any(name.startswith("own_head.") for name in weights(tmp_path / "run"))


def test_a_minute_of_training_tells_good_pictures_from_bad_ones(tmp_path: Path) -> None:
    """Scenes of the test are not in training, and chance is 0.5."""
    world = World(seed=4, side=64)
    for split, count in (("train", 400), ("test", 120)):
        comparisons: list[Comparison] = []
        for number in range(count):
            pair = world.pair(split, number, fault=Fault(("palette", "noise")[number % 2]))
            comparison = comparison_of(pair, tmp_path)
            for path, picture in ((comparison.image_a, pair.a), (comparison.image_b, pair.b)):
                Image.fromarray(world.draw(picture)).save(path)
            comparisons.append(comparison)
        write_hpdv3(tmp_path / f"{split}.json", comparisons)
    make_tiny_checkpoint(tmp_path / "start", heads=("multi_axis",), trained=False)
    result = train(
        Recipe(
            start=str(tmp_path / "start"),
            data=DataRecipe(
                train=str(tmp_path / "train.json"),
                validation=str(tmp_path / "test.json"),
                workers=0,
            ),
            run=RunRecipe(steps=80, batch_pairs=16),
            optimizer=OptimizerRecipe(learning_rate=0.003),
        ),
        tmp_path / "run",
        device="cpu",
    )
    assert result.last is not None
    assert result.last.axes["overall"].accuracy > 0.8
    assert result.last.axes["style"].accuracy > 0.8
    # Nothing is wrong on the other axes, so votes there are coin tosses.
    assert result.last.axes["alignment"].accuracy < 0.7
