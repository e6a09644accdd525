"""What goes to stdout is plain, on one line each, and never lets a file name do harm."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import pytest

from librehps.cli.output import (
    axis_cell,
    axis_columns,
    note,
    note_error,
    printable,
    write_json,
    write_line,
    write_table,
)
from librehps.errors import ConfigError, InputError
from librehps.results import AxisScore, Score

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a cat.png", "a cat.png"),
        ("кот_猫.png", "кот_猫.png"),
        ("a\tb\nc.png", r"a\tb\nc.png"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\udcff.png", r"\udcff.png"),
        ("right\u202eleft", r"right\u202eleft"),
    ],
)
def test_only_printable_characters_are_printed(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_table_through_a_pipe_is_tab_separated(capsys: Captured) -> None:
    write_table(["image", "overall"], [["[red]a\tb[/]", "1.0"], ["c", "2.0"]], title="unseen")
    assert capsys.readouterr().out == "image\toverall\n[red]a\\tb[/]\t1.0\nc\t2.0\n"


def test_a_table_on_a_terminal_is_drawn(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    write_table(["image", "overall"], [["[red]a[/]", "1.0"]], title="scores")
    out = capsys.readouterr().out
    assert "scores" in out
    assert "─" in out
    # A file name is text, not markup.
    assert "[red]a[/]" in out


def test_json_is_one_ascii_document(capsys: Captured) -> None:
    write_json({"image": "猫\udcff\n", "score": 1.5})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"image": "猫\udcff\n", "score": 1.5}


def test_json_never_holds_what_is_no_number(capsys: Captured) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json({"score": float("nan")})
    assert capsys.readouterr().out == ""


def test_notes_and_errors_go_to_stderr(capsys: Captured) -> None:
    note("first of 12 frames")
    note_error(InputError("is damaged", code="image_damaged", item="images[1]"))
    write_line("a result")
    captured = capsys.readouterr()
    assert captured.out == "a result\n"
    assert captured.err.splitlines() == [
        "librehps: first of 12 frames",
        "librehps: error: images[1]: is damaged [image_damaged]",
    ]


def test_cells_show_as_much_as_there_is() -> None:
    assert axis_cell(None) == "-"
    assert axis_cell(AxisScore(1.0)) == "1.0000"
    assert axis_cell(AxisScore(-0.12345, 0.5)) == "-0.1235 ± 0.5000"
    scores = [Score(style=AxisScore(0.0)), Score(overall=AxisScore(1.0))]
    assert axis_columns(scores) == ["overall", "style"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_an_error_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        writers = (lambda: write_line("x"), lambda: write_json({}), lambda: write_table(["a"], []))
        for write in writers:
            with pytest.raises(ConfigError, match="No space") as caught:
                write()
            assert caught.value.code == "out_unwritable"
        monkeypatch.undo()
        # What could not be written is written again when a file is closed.
        with contextlib.suppress(OSError):
            full.close()
