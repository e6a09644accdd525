from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from librehps.errors import CheckpointError
from librehps.modeling import checkpoint_writer
from librehps.modeling.checkpoint import INDEX_NAME, SINGLE_NAME, CheckpointReader
from librehps.modeling.checkpoint_writer import write_checkpoint

OLD = {"w": torch.zeros(4)}
NEW = {"w": torch.ones(4), "v": torch.ones(2, dtype=torch.bfloat16)}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_file_or_shards_with_an_index(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a", NEW, config={"k": 1}, extra_files={"README.md": "né"})
    assert set(content(tmp_path / "a")) == {SINGLE_NAME, "config.json", "README.md"}
    assert (tmp_path / "a" / "README.md").read_text(encoding="utf-8") == "né"
    assert json.loads((tmp_path / "a" / "config.json").read_text()) == {"k": 1}

    write_checkpoint(tmp_path / "b", NEW, config={}, max_shard_bytes=16)
    index = json.loads((tmp_path / "b" / INDEX_NAME).read_text())
    assert index["metadata"]["total_size"] == 20
    assert index["weight_map"] == {
        "w": "model-00001-of-00002.safetensors",
        "v": "model-00002-of-00002.safetensors",
    }
    # A tensor larger than the limit gets a file of its own rather than none.
    write_checkpoint(tmp_path / "c", NEW, config={}, max_shard_bytes=1)
    assert CheckpointReader(tmp_path / "c").shapes == {"w": (4,), "v": (2,)}


def test_tensors_start_at_multiples_of_their_item_size(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    odd = {
        "a": torch.ones(3, dtype=torch.bfloat16),
        "b": torch.ones(5),
        "c": torch.ones(1).double(),
    }
    write_checkpoint(tmp_path / "a", odd, config={})
    raw = (tmp_path / "a" / SINGLE_NAME).read_bytes()
    length = int.from_bytes(raw[:8], "little")
    assert (8 + length) % 64 == 0
    header = json.loads(raw[8 : 8 + length])
    assert header["__metadata__"] == {"format": "pt"}
    for name, tensor in odd.items():
        assert header[name]["data_offsets"][0] % tensor.element_size() == 0
    assert all(torch.equal(v, odd[k]) for k, v in load_file(tmp_path / "a" / SINGLE_NAME).items())


def test_meta_tensors_are_made_when_their_turn_comes(tmp_path: Path) -> None:
    made: list[str] = []

    def materialize(name: str) -> torch.Tensor:
        made.append(name)
        return torch.full((3,), float(len(made)))

    tensors = {name: torch.empty(3, device="meta") for name in ("x", "y")}
    write_checkpoint(tmp_path / "a", tensors, config={}, materialize=materialize)
    assert made == ["x", "y"]
    out = torch.empty(3)
    CheckpointReader(tmp_path / "a").read_into("y", out)
    assert out.tolist() == [2.0] * 3
    with pytest.raises(ValueError, match=r"made \(2,\)"):
        write_checkpoint(tmp_path / "b", tensors, config={}, materialize=lambda _: torch.ones(2))
    assert not (tmp_path / "b").exists()


def test_views_and_transposes_are_written_as_they_look(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    write_checkpoint(tmp_path / "a", {"t": base.T, "row": base[1]}, config={})
    out = torch.empty(3, 2)
    CheckpointReader(tmp_path / "a").read_into("t", out)
    assert torch.equal(out, base.T)


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "two-renames"])
def test_an_older_checkpoint_is_replaced_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(checkpoint_writer, "_exchange", lambda first, second: False)
    folder = tmp_path / "ckpt"
    write_checkpoint(folder, NEW, config={}, extra_files={"a.txt": ""}, max_shard_bytes=16)
    write_checkpoint(folder, OLD, config={"new": 1}, extra_files={"a.txt": "x"})
    assert set(content(folder)) == {SINGLE_NAME, "config.json", "a.txt"}
    assert CheckpointReader(folder).shapes == {"w": (4,)}
    assert [path.name for path in tmp_path.iterdir()] == ["ckpt"]


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "two-renames"])
@pytest.mark.parametrize("place", ["_write_shard", "_flush", "_flush_folder", "rename"])
def test_an_interrupted_save_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool, place: str
) -> None:
    folder = tmp_path / "ckpt"
    write_checkpoint(folder, OLD, config={"old": 1})
    before = content(folder)

    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    def second_rename(self: Path, target: Path) -> Path:
        if target == folder and self.suffix == ".tmp":
            raise KeyboardInterrupt
        return original(self, target)

    if not exchange:
        monkeypatch.setattr(checkpoint_writer, "_exchange", lambda first, second: False)
    if place == "rename":
        original = Path.rename
        monkeypatch.setattr(Path, "rename", second_rename)
        if exchange:
            monkeypatch.setattr(checkpoint_writer, "_exchange", interrupted)
    else:
        monkeypatch.setattr(checkpoint_writer, place, interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(folder, NEW, config={"new": 1})
    assert content(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["ckpt"]


SAVE_FOREVER = """
import sys
from pathlib import Path
import torch
from librehps.modeling.checkpoint_writer import write_checkpoint
for i in range(1_000_000):
    write_checkpoint(Path(sys.argv[1]), {"w": torch.full((200_000,), float(i))}, config={"i": i})
    print(i, flush=True)
"""


def test_a_killed_save_leaves_one_whole_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "ckpt"
    process = subprocess.Popen(
        [sys.executable, "-c", SAVE_FOREVER, str(folder)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    time.sleep(0.0137)
    process.kill()
    process.communicate()
    out = torch.empty(200_000)
    CheckpointReader(folder).read_into("w", out)
    saved = json.loads((folder / "config.json").read_text())["i"]
    assert saved >= 4
    assert torch.equal(out, torch.full_like(out, float(saved)))


@pytest.mark.parametrize("name", ["notes.txt", "calibration.json", ".git", "weights.pt"])
def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "mine"
    write_checkpoint(folder, OLD, config={})
    (folder / name).write_text("precious")
    with pytest.raises(CheckpointError) as caught:
        write_checkpoint(folder, NEW, config={})
    assert caught.value.code == "ckpt_would_overwrite"
    assert name in str(caught.value)
    assert (folder / name).read_text() == "precious"
    assert CheckpointReader(folder).shapes == {"w": (4,)}


def test_files_and_folders_that_are_no_checkpoint_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / SINGLE_NAME).write_text("someone's")
    for name in ("file", "weights"):
        with pytest.raises(CheckpointError) as caught:
            write_checkpoint(tmp_path / name, NEW, config={})
        assert caught.value.code == "ckpt_would_overwrite"
    assert (tmp_path / "weights" / SINGLE_NAME).read_text() == "someone's"
    (tmp_path / "empty").mkdir()
    write_checkpoint(tmp_path / "empty", NEW, config={})
    write_checkpoint(tmp_path / "deeper" / "down", NEW, config={})


def test_a_linked_folder_is_replaced_where_it_is(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "real", OLD, config={})
    (tmp_path / "link").symlink_to("real")
    write_checkpoint(tmp_path / "link", NEW, config={})
    assert (tmp_path / "link").is_symlink()
    assert set(CheckpointReader(tmp_path / "real").shapes) == {"w", "v"}


@pytest.mark.parametrize(
    ("tensor", "code"),
    [
        (torch.tensor([1.0, float("nan")]), "weight_not_finite"),
        (torch.tensor([float("-inf")]), "weight_not_finite"),
        (torch.ones(2, dtype=torch.int64), "ckpt_dtype"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(
    tmp_path: Path, tensor: torch.Tensor, code: str
) -> None:
    with pytest.raises(CheckpointError) as caught:
        write_checkpoint(tmp_path / "a", {"fine": torch.ones(1), "bad": tensor}, config={})
    assert (caught.value.code, caught.value.item) == (code, "bad")
    assert list(tmp_path.iterdir()) == []
