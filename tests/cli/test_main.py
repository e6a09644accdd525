"""The command as a whole: light to start, plain errors, exit statuses, and a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import skimage.data
from PIL import Image
from typer.testing import CliRunner

import librehps
from librehps.cli.main import app
from librehps.testing.tiny import make_tiny_checkpoint

ROOT = Path(librehps.__file__).resolve().parent.parent
HEAVY = ("torch", "triton", "transformers", "numpy", "PIL")


def process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_importing_the_package_and_asking_for_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, librehps, librehps.cli.main as m\n"
        "dir(librehps), librehps.__version__\n"
        "from typer.testing import CliRunner\n"
        "result = CliRunner().invoke(m.app, ['score', '--help'])\n"
        "assert result.exit_code == 0, result.output\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = process("-c", code, cwd=tmp_path)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_public_names_are_there() -> None:
    from librehps.scorer import LibreHPS

    assert librehps.LibreHPS is LibreHPS
    assert all(hasattr(librehps, name) for name in librehps.__all__)
    assert set(dir(librehps)) == set(librehps.__all__)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = librehps.nothing_like_it


def test_help_teaches_every_verb() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for verb in ("score", "compare", "rank", "init", "doctor"):
        assert f"  {verb} " in result.stdout
    assert "librehps init model --preset nano" in result.stdout
    assert "\x1b" not in result.stdout


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"librehps {librehps.__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["score"],
        ["score", "a.png"],
        ["score", "a.png", "--prompt", "x", "--prompts", "y.txt"],
        ["compare", "a.png", "--prompt", "x"],
        ["rank", "a.png"],
        ["score", "a.png", "--prompt", "x", "--backbone", "jax"],
        ["init", "out"],
        ["init", "out", "--preset", "nano", "--from", "here"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2_and_nothing_on_stdout(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage" in result.stderr


@pytest.mark.parametrize(
    ("model", "code"), [("./nano", "ckpt_missing"), ("owner/../x", "ckpt_missing")]
)
def test_a_model_that_cannot_be_loaded_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["score", "a.png", "--prompt", "x", "--model", model])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"[{code}]" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_real_process_from_another_folder(tmp_path: Path) -> None:
    make_tiny_checkpoint(tmp_path / "model", trained=False)
    Image.fromarray(skimage.data.cat()).save(tmp_path / "cat.png")
    (tmp_path / "empty.png").touch()
    arguments = ("-m", "librehps", "score", "cat.png", "empty.png", "--model", "model")
    done = process(*arguments, "--prompt", "a cat", "--dtype", "float32", "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    cat, empty = document["items"]
    assert document["trained"] is False
    assert cat["image"] == "cat.png"
    assert cat["score"]["trained"] is False
    assert isinstance(cat["score"]["overall"]["mean"], float)
    assert empty["error"]["code"] == "image_empty"
    assert done.stderr.count("untrained") == 1
    assert "Traceback" not in done.stderr


def test_a_name_that_stdout_cannot_encode_costs_no_result(tmp_path: Path) -> None:
    Image.new("RGB", (96, 96)).save(tmp_path / "猫.png")
    code = "import sys; sys.argv[0] = 'librehps'; from librehps.cli.main import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", code, "score", "猫.png", "--prompt", "a cat"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert rb"\u732b.png" in done.stdout
    assert rb"\xb1" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["score", "--help"]], ids=str)
def test_what_typer_cannot_write_is_a_message(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "librehps", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "stdout: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
