"""``librehps init``: a folder that loads, says it is untrained, and never replaces anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import skimage.data
from typer.testing import CliRunner, Result

from librehps.cli import init
from librehps.cli.main import app
from librehps.heads import HEADS
from librehps.model import PreferenceModel
from librehps.modeling import PRESETS
from librehps.scorer import LibreHPS
from librehps.testing.tiny import make_tiny_hf_checkpoint


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["init", *arguments])


def test_a_preset_becomes_a_checkpoint_that_scores(tmp_path: Path) -> None:
    out = tmp_path / "model"
    result = run(str(out), "--preset", "nano", "--max-pixels", "65536", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["trained"] is False
    assert document["folder"] == str(out)
    assert document["backbone_parameters"] > 1_000_000
    assert "untrained" in result.stderr
    assert "untrained" in (out / "README.md").read_text().lower()
    scorer = LibreHPS.from_pretrained(out, device="cpu")
    score = scorer.score_image(image=skimage.data.cat(), prompt="a cat <|im_end|> ж")
    assert score.trained is False
    assert list(score.axes) == ["overall", "alignment", "coherence", "style"]


def test_options_reach_the_checkpoint(tmp_path: Path) -> None:
    out, template = tmp_path / "model", tmp_path / "template.txt"
    template.write_text("{prompt}\n<|vision_start|>{image}<|vision_end|>")
    options = ["--axes", "overall, style", "--pooling", "mean", "--dtype", "float32"]
    options += ["--hidden-sizes", "8,4"]
    budget = ["--min-pixels", "1024", "--max-pixels", "4096"]
    result = run(str(out), "--preset", "nano", *options, *budget, "--template", str(template))
    assert result.exit_code == 0, result.stderr
    assert "untrained" in result.stdout
    key = json.loads((out / "config.json").read_text())["librehps"]
    assert key["axes"] == ["overall", "style"]
    assert key["heads"]["multi_axis"]["hidden_sizes"] == [8, 4]
    assert key["pooling"] == "mean"
    assert key["trained"] is False
    assert key["pixel_budget"] == {"min_pixels": 1024, "max_pixels": 4096, "factor": 32}
    assert key["prompt_template"]["text"] == template.read_text()


def test_weights_of_qwen_get_fresh_heads(tmp_path: Path) -> None:
    make_tiny_hf_checkpoint(tmp_path / "qwen")
    out = tmp_path / "model"
    result = run(str(out), "--from", str(tmp_path / "qwen"), "--max-pixels", "65536")
    assert result.exit_code == 0, result.stderr
    assert "its heads are random" in result.stderr
    scorer = LibreHPS.from_pretrained(out, device="cpu")
    assert scorer.score_image(image=skimage.data.cat(), prompt="a cat").trained is False


@pytest.mark.parametrize("what", ["a file", "a folder with something in it"])
def test_nothing_is_overwritten(tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    if what == "a file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "config.json").write_text("{}")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    result = run(str(out), "--preset", "nano")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "[ckpt_would_overwrite]" in result.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--preset", "4"], "preset_unknown"),
        (["--preset", "nano", "--axes", "overall,beauty"], "axis_unknown"),
        (["--preset", "nano", "--axes", ""], "axis_unknown"),
        (["--preset", "nano", "--pooling", "first"], "name_unknown"),
        (["--preset", "nano", "--hidden-sizes", "0"], "head_size"),
        (["--preset", "nano", "--head", "ranknet", "--hidden-sizes", "8"], "head_size"),
        (["--preset", "nano", "--dtype", "int8"], "dtype_unknown"),
        (["--preset", "nano", "--min-pixels", "9000", "--max-pixels", "4000"], "pixel_budget"),
        (["--preset", "nano", "--template", "nowhere.txt"], "template_missing"),
        (["--preset", "nano", "--tokenizer", "nowhere.json"], "tokenizer_missing"),
        (["--from", "./nowhere"], "ckpt_missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_makes_no_sense_is_said_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("out", *arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert f"[{code}]" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--preset", "nano", "--seed", str(2**63)],
        ["--preset", "nano", "--revision", "main"],
        ["--preset", "nano", "--hidden-sizes", "8;4"],
        ["--preset", "nano", "--local-files-only"],
    ],
)
def test_wrong_usage_writes_nothing(tmp_path: Path, arguments: list[str]) -> None:
    result = run(str(tmp_path / "out"), *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: Invalid value" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PreferenceModel, "save_pretrained", refuse)
    result = run(str(tmp_path / "out"), "--preset", "nano")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "No space left" in result.stderr
    assert "[ckpt_unwritable]" in result.stderr


def test_a_preset_can_learn_the_words_of_prompts(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a striped hexagon\na dotted hexagon\n" * 9)
    result = run(str(tmp_path / "model"), "--preset", "nano", "--words-of", str(prompts))
    assert result.exit_code == 0, result.stderr
    scorer = LibreHPS.from_pretrained(tmp_path / "model", device="cpu")
    assert len(scorer.processor.tokenizer.encode_user("a striped hexagon")) == 3
    rows = [
        {"prompt": "a red ring", "path1": "a.png", "path2": "b.png"},
        {"prompt": "a red ring", "path1": "c.png", "path2": "d.png"},
    ]
    (tmp_path / "train.json").write_text(json.dumps(rows))
    result = run(
        str(tmp_path / "other"), "--preset", "nano", "--words-of", str(tmp_path / "train.json")
    )
    assert result.exit_code == 0, result.stderr
    missing = run(str(tmp_path / "third"), "--preset", "nano", "--words-of", "nothing.txt")
    assert missing.exit_code == 1
    assert "data_file" in missing.stderr
    clash = run(str(tmp_path / "third"), "--preset", "nano", "--words-of", "x", "--tokenizer", "y")
    assert clash.exit_code == 2
    assert not (tmp_path / "third").exists()


def test_the_help_lists_what_there_is() -> None:
    # Written out in the help, so that showing it does not import torch.
    assert set(init.PRESETS.split(", ")) == set(PRESETS)
    assert set(init.HEADS.split(", ")) == set(HEADS)
