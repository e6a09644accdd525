"""The score cache: exact, append-only, and whole again after any kind of tear."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from librehps.errors import ConfigError, InputError
from librehps.evaluate.identity import ScorerIdentity
from librehps.evaluate.score_cache import Outcome, ScoreCache
from librehps.results import AXIS_FIELDS, AxisScore, Score

IDENTITY = ScorerIdentity("sha256:1", {"dtype": "float32"})

finite = st.floats(allow_nan=False, allow_infinity=False)
axes = st.dictionaries(
    st.sampled_from(AXIS_FIELDS), st.tuples(finite, st.none() | finite.map(abs)), max_size=3
)
notes = st.lists(st.text(max_size=5), max_size=2)
# Plain values: what is built from them is checked at run time, which strategies may not be.
scores = st.tuples(axes, notes, st.booleans())
errors = st.text(max_size=9)


def built(drawn: Any) -> Outcome:
    if isinstance(drawn, str):
        return InputError(drawn, code="image_damaged")
    axes, notes, trained = drawn
    scored = {name: AxisScore(mean, sigma) for name, (mean, sigma) in axes.items()}
    return Score(**scored, notes=tuple(notes), trained=trained)


def plain(outcome: Outcome) -> object:
    return outcome.to_dict() if isinstance(outcome, Score) else (outcome.code, outcome.message)


def contents(folder: Path) -> dict[str, object]:
    with ScoreCache(folder, IDENTITY) as cache:
        return {key: plain(cache[key]) for key in map(str, range(50)) if key in cache}


def filled(folder: Path, count: int = 5) -> Path:
    with ScoreCache(folder, IDENTITY) as cache:
        cache.add({str(n): Score(overall=AxisScore(n / 3, 0.1)) for n in range(count)})
        return cache.path


@settings(max_examples=30, deadline=None)
@given(drawn=st.lists(scores | errors, max_size=6))
def test_what_is_kept_comes_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    kept = {str(place): outcome for place, outcome in enumerate(map(built, drawn))}
    with ScoreCache(folder, IDENTITY) as cache:
        cache.add(kept)
    assert contents(folder) == {key: plain(outcome) for key, outcome in kept.items()}


def test_a_tear_at_any_byte_loses_what_is_behind_it_and_nothing_else(tmp_path: Path) -> None:
    path = filled(tmp_path)
    whole, everything = path.read_bytes(), contents(tmp_path)
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        kept = max(0, sum(end <= cut for end in ends) - 1)
        assert contents(tmp_path) == dict(list(everything.items())[:kept])
        filled(tmp_path)
        assert contents(tmp_path) == everything
        assert path.read_bytes() == whole


def test_a_damaged_line_is_computed_again(tmp_path: Path) -> None:
    path = filled(tmp_path)
    everything = contents(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2].replace(b"0.1", b"0.2"), b"\0\n", *lines[3:]]))
    assert contents(tmp_path) == {k: v for k, v in everything.items() if k != "1"}
    filled(tmp_path)
    assert contents(tmp_path) == everything


def test_what_is_there_stays(tmp_path: Path) -> None:
    path = filled(tmp_path, 2)
    before = path.read_bytes()
    with ScoreCache(tmp_path, IDENTITY) as cache:
        cache.add({"0": Score(overall=AxisScore(9.0)), "2": Score(overall=AxisScore(2.0))})
        assert cache["0"] == Score(overall=AxisScore(0.0, 0.1))
    assert path.read_bytes().startswith(before)
    assert len(contents(tmp_path)) == 3


def test_another_scorer_has_a_file_of_its_own(tmp_path: Path) -> None:
    path = filled(tmp_path)
    other = ScorerIdentity("sha256:1", {"dtype": "bfloat16"})
    with ScoreCache(tmp_path, other) as cache:
        assert len(cache) == 0
        own = cache.path
    own.write_bytes(path.read_bytes())
    with pytest.raises(ConfigError) as caught:
        ScoreCache(tmp_path, other)
    assert caught.value.code == "cache_other"


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    with ScoreCache(tmp_path, IDENTITY):
        with pytest.raises(ConfigError) as caught:
            ScoreCache(tmp_path, IDENTITY)
        assert caught.value.code == "cache_in_use"
    with ScoreCache(tmp_path, IDENTITY) as cache:
        assert len(cache) == 0


def test_no_line_is_lost_to_kills(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from librehps.evaluate.identity import ScorerIdentity
from librehps.evaluate.score_cache import ScoreCache
from librehps.results import AxisScore, Score

with ScoreCache(Path(sys.argv[1]), ScorerIdentity("sha256:1", {"dtype": "float32"})) as cache:
    print(len(cache), flush=True)
    for n in range(len(cache), 100_000):
        cache.add({str(n): Score(overall=AxisScore(n / 3))})
        print(n, flush=True)
"""
    said = -1
    for _ in range(3):
        run = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert run.stdout is not None
        # What the run before had said was done must be there now.
        assert int(run.stdout.readline()) > said
        for _ in range(40):
            said = int(run.stdout.readline())
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()
    with ScoreCache(tmp_path, IDENTITY) as cache:
        assert len(cache) > said
        assert all(cache[str(n)] == Score(overall=AxisScore(n / 3)) for n in range(len(cache)))
