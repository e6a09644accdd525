"""What all suites share: a limit that takes from everywhere, and the refusal of videos."""

from __future__ import annotations

from pathlib import Path

import pytest

from librehps.data.records import Comparison
from librehps.errors import ConfigError
from librehps.evaluate.suite import Case, spread_evenly, video_refused


def test_a_limit_takes_from_all_over_the_file() -> None:
    pair = Comparison(prompt="p", image_a=Path("a"), image_b=Path("b"), target=1.0)
    cases = tuple(Case(place, pair, for_fitting=False) for place in range(40))
    assert [case.global_index for case in spread_evenly(cases, 5)] == [0, 8, 16, 24, 32]
    assert spread_evenly(cases, 40) == spread_evenly(cases, 900) == cases
    assert spread_evenly(cases, None) == cases
    with pytest.raises(ConfigError) as caught:
        spread_evenly(cases, 0)
    assert caught.value.code == "suite_limit"


def test_videos_are_refused_by_name() -> None:
    error = video_refused("videoalign")
    assert (error.code, error.item) == ("suite_video", "videoalign")
    assert "scores pictures only" in str(error)
