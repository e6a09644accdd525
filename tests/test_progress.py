from __future__ import annotations

import re
import time

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


def test_the_rate_counts_what_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress_bar("training", 30, unit="pairs", each=8.0) as advance:
        for _ in range(3):
            time.sleep(0.15)
            advance(1)
        time.sleep(0.2)
    assert re.search(r"[0-9.]+ pairs/s", capsys.readouterr().err)
