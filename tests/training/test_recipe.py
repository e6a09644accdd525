from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from librehps.errors import ConfigError
from librehps.training.recipe import LoraRecipe, read_recipe

LEAST = {"start": "a", "data": {"train": "b"}, "run": {"steps": 3}}


def written(tmp_path: Path, data: Any) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, LEAST))
    assert recipe.run.steps == 3
    assert recipe.loss == "logistic_normal"
    assert recipe.optimizer.betas == (0.9, 0.98)
    # What is written down beside a run is a recipe too.
    again = read_recipe(written(tmp_path, json.loads(json.dumps(recipe.to_dict()))))
    assert again == recipe


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text("start: a\nrun: {steps: 1}\nrun: {steps: 2}\n")
    with pytest.raises(ConfigError, match="'run' is there twice") as caught:
        read_recipe(tmp_path / "twice.yaml")
    assert caught.value.code == "recipe_file"
    with pytest.raises(ConfigError, match="'vision' is there twice"):
        read_recipe(written(tmp_path, LEAST), ["optimizer.scales={vision: 0, vision: 1}"])


def test_an_override_changes_one_place_of_an_anchor(tmp_path: Path) -> None:
    text = yaml.safe_dump(LEAST) + "optimizer: {scales: &x {heads: 2}}\naxis_weights: *x\n"
    (tmp_path / "shared.yaml").write_text(text)
    found = read_recipe(tmp_path / "shared.yaml", ["optimizer.scales.heads=5"])
    assert (found.optimizer.scales, found.axis_weights) == ({"heads": 5.0}, {"heads": 2.0})


def test_overrides_reach_inside_and_are_yaml(tmp_path: Path) -> None:
    overrides = [
        "run.steps=7",
        "optimizer.scales.vision=0",
        "optimizer.betas=[0.8, 0.9]",
        "data.validation=null",
        "loss={kind: bradley_terry, margin: 0.5}",
        "lora.targets=[q_proj, v_proj, vision]",
    ]
    recipe = read_recipe(written(tmp_path, LEAST), overrides)
    assert recipe.run.steps == 7
    assert recipe.optimizer.scales == {"vision": 0.0}
    assert recipe.optimizer.betas == (0.8, 0.9)
    assert recipe.data.validation is None
    assert recipe.lora == LoraRecipe(targets=("q_proj", "v_proj", "vision"))
    assert recipe.loss == {"kind": "bradley_terry", "margin": 0.5}


@pytest.mark.parametrize(
    ("overrides", "code", "message"),
    [
        (["run.step=7"], "recipe_key", "'step' in run .* did you mean 'steps'"),
        (["optimiser=1"], "recipe_key", "did you mean 'optimizer'"),
        (["run.steps"], "recipe_key", "no key=value"),
        (["start.x=1"], "recipe_key", "'start' holds no keys"),
        (["optimizer.scales.visoin=1"], "recipe_key", "did you mean 'vision'"),
        (["run.steps=true"], "recipe_value", "run.steps cannot be True"),
        (["run.steps=1.5"], "recipe_value", "run.steps cannot be 1.5"),
        (["run.batch_tokens=0"], "recipe_value", "run.batch_tokens is 0; at least 1"),
        (["lora.rnak=2"], "recipe_key", "'rnak' in lora.*did you mean 'rank'"),
        (["lora.rank=0"], "recipe_value", "lora.rank is 0; at least 1"),
        (["lora.dropout=1"], "recipe_value", "lora.dropout is 1.0"),
        (["lora.alpha=0"], "recipe_value", "lora.alpha is 0.0"),
        (["lora.targets=[]"], "recipe_value", "lora.targets is empty"),
        (["lora.targets=[1]"], "recipe_value", "cannot be 1"),
        (["optimizer.scales.adapters=2"], "recipe_value", "there are none without lora"),
        (["run.steps=0"], "recipe_value", "run.steps is 0; at least 1"),
        (["optimizer.learning_rate=.nan"], "recipe_value", "learning_rate is nan"),
        (["optimizer.betas=[0.9]"], "recipe_value", "betas holds 2 values"),
        (["optimizer.betas=[0.9, 1.0]"], "recipe_value", "betas has 1.0"),
        (["schedule.final_share=2"], "recipe_value", "final_share is 2.0"),
        (["run.precision=float16"], "recipe_value", "one of float32, bfloat16"),
        (["run=[1]"], "recipe_value", "run must hold keys"),
        (["run.steps={"], "recipe_value", "run.steps={"),
        (["run.steps=!!int foo"], "recipe_value", "not what its tag says"),
        (["run.steps=" + 5001 * "1"], "recipe_value", "not what its tag says"),
        (["run.seed=" + 20 * "9"], "recipe_value", "run.seed is above 9223372036854775807"),
        (["run.accumulate=" + 29 * "9"], "recipe_value", "run.accumulate is above"),
        (["lora.rank=" + 21 * "9"], "recipe_value", "lora.rank is above 65536"),
        (["optimizer.learning_rate=1" + 400 * "0"], "recipe_value", "learning_rate is no number"),
        (["run.patience=1"], "recipe_value", "run.patience counts measurements"),
        (
            ["run.patience=1", "data.validation=b"],
            "recipe_value",
            "run.patience counts measurements",
        ),
        (
            ["run.patience=1", "run.evaluate_every=1"],
            "recipe_value",
            "run.patience counts measurements",
        ),
    ],
)
def test_what_makes_no_sense_is_named(
    tmp_path: Path, overrides: list[str], code: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_recipe(written(tmp_path, LEAST), overrides)
    assert caught.value.code == code


def test_a_folder_may_be_called_like_a_date(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, LEAST), ["start=2024-13-45", "data.train=2024-10-01"])
    assert (recipe.start, recipe.data.train) == ("2024-13-45", "2024-10-01")


def test_a_missing_key_or_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.steps is missing"):
        read_recipe(written(tmp_path, LEAST | {"run": {}}))
    with pytest.raises(ConfigError, match="is no recipe"):
        read_recipe(tmp_path / "nothing.yaml")
    (tmp_path / "odd.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="must hold keys"):
        read_recipe(tmp_path / "odd.yaml")
    # Nothing in a recipe is ever called.
    (tmp_path / "evil.yaml").write_text("start: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError, match="is no recipe"):
        read_recipe(tmp_path / "evil.yaml")
