"""What verbs share: the same names everywhere, and examples that the help leaves as they are."""

from __future__ import annotations

import inspect

from typer.testing import CliRunner

from librehps.cli import compare, rank, score
from librehps.cli.main import app
from librehps.cli.options import Backbone, examples


def test_examples_keep_their_lines() -> None:
    assert examples("one", "two").splitlines()[-2:] == ["  one", "  two"]
    for verb in ("score", "compare", "rank", "init", "doctor"):
        shown = CliRunner().invoke(app, [verb, "--help"]).stdout.splitlines()
        written = [line for line in shown if line.strip().startswith(f"librehps {verb}")]
        assert written, verb
        assert "\b" not in "".join(shown)


def test_backbones_are_those_of_the_scorer() -> None:
    assert [str(backbone) for backbone in Backbone] == ["native", "transformers"]


def test_verbs_that_load_a_model_take_the_same_options() -> None:
    shared = {
        "model",
        "device",
        "dtype",
        "attn_impl",
        "kernel_impl",
        "backbone",
        "revision",
        "local_files_only",
        "deterministic",
        "as_json",
    }
    for verb in (score.score, compare.compare, rank.rank):
        assert shared <= set(inspect.signature(verb).parameters)
