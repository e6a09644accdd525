"""What verbs share: the same names everywhere, and examples that the help leaves as they are."""

from __future__ import annotations

import inspect
from dataclasses import fields

import typer
from typer.testing import CliRunner

from librehps.cli import compare, rank, score
from librehps.cli.main import app
from librehps.cli.options import Backbone, ModelOptions, examples, with_model_options


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
    shared = {field.name for field in fields(ModelOptions)} | {"as_json"}
    for verb in (score.score, compare.compare, rank.rank):
        parameters = inspect.signature(verb).parameters
        assert shared <= set(parameters)
        assert "chosen" not in parameters
        assert all(
            kind is inspect.Parameter.KEYWORD_ONLY
            for kind in (parameters[name].kind for name in shared)
        )


def test_options_are_gathered_and_the_rest_is_passed_on() -> None:
    """Fields take their defaults from the class and their values from the command line."""
    seen: list[tuple[str, ModelOptions, int]] = []
    app = typer.Typer()

    @app.command()
    @with_model_options
    def verb(name: str, *, chosen: ModelOptions, count: int = 3) -> None:
        """Say it."""
        seen.append((name, chosen, count))

    line = ["x", "-m", "folder", "--backbone", "transformers", "--deterministic", "--count", "4"]
    result = CliRunner().invoke(app, line, catch_exceptions=False)
    assert result.exit_code == 0
    options = ModelOptions(model="folder", backbone=Backbone.transformers, deterministic=True)
    assert seen == [("x", options, 4)]
    assert CliRunner().invoke(app, ["x", "--backbone", "other"]).exit_code == 2
