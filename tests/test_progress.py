from __future__ import annotations

import pytest

from librehps.progress import ignore, progress_bar


def test_a_bar_is_drawn_on_stderr_only(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("drawing", 3) as advance:
        advance(2)
        advance(1)
    captured = capsys.readouterr()
    assert captured.out == ""


def test_nothing_is_shown_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("drawing", 3, shown=False) as advance:
        assert advance is ignore
        advance(3)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
