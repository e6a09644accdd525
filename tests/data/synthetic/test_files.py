from __future__ import annotations

import os
from inspect import unwrap
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from librehps.data.hpdv3 import read_hpdv3
from librehps.data.synthetic.files import read_truth, write_split
from librehps.data.synthetic.world import World
from librehps.errors import ConfigError, InputError

WORLD = World(seed=2, side=48)


def test_what_is_written_is_read_as_hpdv3_with_its_truth(tmp_path: Path) -> None:
    done: list[int] = []
    written = write_split(tmp_path, WORLD, "train", 12, advance=done.append)
    assert sum(done) == 12
    found = read_hpdv3(tmp_path / "train.json", check_files=True)
    assert found.rows == 12
    assert found.bad == ()
    truth = read_truth(tmp_path / "train.truth.jsonl")
    for comparison, given, pair in zip(
        found.comparisons, written, WORLD.pairs("train", 12), strict=True
    ):
        # The file puts the preferred image first; the names of the images say which was which.
        first = comparison if comparison.image_a.stem.endswith("-a") else comparison.swapped()
        assert first.image_a == given.image_a
        assert first.target == pytest.approx(pair.votes["overall"] / pair.num_votes)
        assert first.votes == pair.num_votes
        assert first.axis_targets == pytest.approx(given.axis_targets)
        assert truth[first.key]["probabilities"] == dict(pair.probabilities)
        kinds = [fault["kind"] for fault in truth[first.key]["faults_b"]]
        assert kinds == [fault.kind for fault in pair.b.faults]
        with Image.open(first.image_b) as image:
            assert (np.asarray(image) == WORLD.draw(pair.b)).all()


def test_two_runs_write_the_same_bytes_and_draw_nothing_twice(tmp_path: Path) -> None:
    write_split(tmp_path, WORLD, "test", 4)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    before = {path: path.read_bytes() for path in files}
    lost, kept = (path for path in files if path.name.startswith("test-2-1"))
    lost.unlink()
    os.utime(kept, ns=(0, 0))
    write_split(tmp_path, WORLD, "test", 4)
    assert {path: path.read_bytes() for path in files} == before
    assert kept.stat().st_mtime_ns == 0
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == files


def test_another_world_is_not_written_over(tmp_path: Path) -> None:
    write_split(tmp_path, WORLD, "train", 1)
    with pytest.raises(ConfigError, match="holds the world") as caught:
        write_split(tmp_path, World(seed=3, side=48), "train", 1)
    assert caught.value.code == "world_other"
    with pytest.raises(ConfigError, match="at least 1"):
        write_split(tmp_path, WORLD, "train", 0)


@pytest.mark.parametrize("damage", [b"{", b"\xff", 100_000 * b"["], ids=["json", "text", "deep"])
def test_a_damaged_mark_is_named_and_nothing_is_written_over(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "world.json").write_bytes(damage)
    with pytest.raises(InputError, match="is damaged") as caught:
        write_split(tmp_path, WORLD, "train", 1)
    assert (caught.value.code, caught.value.item) == ("data_file", str(tmp_path / "world.json"))
    assert (tmp_path / "world.json").read_bytes() == damage


@pytest.mark.parametrize(
    "line", [b"{", b"\xff", b"[]", b"3", b"{}", b'{"key": []}', 100_000 * b"["]
)
def test_a_damaged_truth_is_named_with_its_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "train.truth.jsonl"
    path.write_bytes(b'{"key": "a"}\n' + line + b"\n")
    with pytest.raises(InputError, match="line 2 is no row") as caught:
        read_truth(path)
    assert (caught.value.code, caught.value.item) == ("data_file", str(path))
    with pytest.raises(InputError, match="cannot be read"):
        read_truth(tmp_path / "none.jsonl")


def test_a_folder_is_not_claimed_for_a_split_that_does_not_exist(tmp_path: Path) -> None:
    # Types are checked in tests only; `World.name` is the first that is asked.
    world = Mock(spec=World, wraps=WORLD)
    world.name = unwrap(World.name).__get__(WORLD)
    with pytest.raises(ConfigError, match="did you mean 'train'"):
        unwrap(write_split)(tmp_path, world, "tran", 1)
    assert list(tmp_path.iterdir()) == []
