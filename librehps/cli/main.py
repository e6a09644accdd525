"""The ``librehps`` command and its verbs.

Only light modules are imported here and at the top of the verbs' files: ``--help`` must not wait
for torch. Exit status: 0 done; 1 some inputs failed; 2 wrong usage, or a model that cannot be
loaded.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from librehps import __version__
from librehps.cli import (
    bench,
    calibrate,
    compare,
    doctor,
    evaluate,
    init,
    leaderboard,
    rank,
    score,
    synth,
    train,
)
from librehps.cli.options import examples
from librehps.cli.output import note_error, write_line
from librehps.errors import ConfigError, InputError, LibreHPSError

EXIT_INPUTS_FAILED = 1
EXIT_USAGE = 2


class Verbs(TyperGroup):
    """Runs a verb; an error that was raised on purpose is a message, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb and turn a :class:`LibreHPSError` into a message and an exit status."""
        with _errors_as_messages():
            return super().invoke(ctx)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options; ``--version`` is written before there is a verb to run."""
        with _errors_as_messages():
            return super().parse_args(ctx, args)


@contextmanager
def _errors_as_messages() -> Generator[None]:
    try:
        yield
    except LibreHPSError as error:
        note_error(error)
        failed = EXIT_INPUTS_FAILED if isinstance(error, InputError) else EXIT_USAGE
        raise typer.Exit(failed) from error


app = typer.Typer(
    name="librehps",
    cls=Verbs,
    help="Score generated pictures the way people would.",
    epilog=examples(
        'librehps score star.png ring.png --prompt "a blue star"',
        'librehps compare a.png b.png --prompt "a cat" --model checkpoints/librehps-4b',
        'librehps rank *.png --prompt "a cat" --model checkpoints/librehps-4b --json',
        "librehps init model --preset nano",
        "librehps doctor",
    ),
    no_args_is_help=True,
    add_completion=False,
    # Plain help and plain tracebacks: rich would take a third of the time that --help may take.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("score", epilog=score.EPILOG)(score.score)
app.command("compare", epilog=compare.EPILOG)(compare.compare)
app.command("rank", epilog=rank.EPILOG)(rank.rank)
app.command("init", epilog=init.EPILOG)(init.init)
app.command("synth", epilog=synth.EPILOG)(synth.synth)
app.command("train", epilog=train.EPILOG)(train.train)
app.command("evaluate", epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command("leaderboard", epilog=leaderboard.EPILOG)(leaderboard.leaderboard)
app.command("calibrate", epilog=calibrate.EPILOG)(calibrate.calibrate)
app.add_typer(bench.bench, name="bench")
app.command("doctor", epilog=doctor.EPILOG)(doctor.doctor)


def _version(value: bool) -> bool:
    if value:
        write_line(f"librehps {__version__}")
        raise typer.Exit
    return value


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Score generated pictures the way people would."""


def main() -> None:
    """Run the command with the arguments of the process."""
    # A name that stdout cannot encode is escaped, as stderr does by itself: results were paid for.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except BrokenPipeError:
        # Whoever read has enough.
        raise
    except OSError as error:
        # Help is written by typer, and where it cannot be there is no file to name.
        if error.filename is not None:
            raise
        full = ConfigError(f"cannot be written: {error}", code="out_unwritable", item="stdout")
        note_error(full)
        sys.exit(EXIT_USAGE)
