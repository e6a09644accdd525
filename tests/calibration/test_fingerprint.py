"""The fingerprint changes with what decides a score, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from librehps.calibration import fingerprint
from librehps.errors import CheckpointError


def checkpoint(folder: Path) -> Path:
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "a.safetensors", "b.safetensors", "README.md"):
        (folder / name).write_text(f"contents of {name}", encoding="utf-8")
    return folder


def test_it_is_the_same_wherever_the_folder_lies(tmp_path: Path) -> None:
    found = fingerprint(checkpoint(tmp_path / "one"))
    assert found == fingerprint(str(checkpoint(tmp_path / "two")))
    kind, digest = found.split(":")
    assert kind == "sha256"
    assert len(bytes.fromhex(digest)) == 32


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "a.safetensors"])
def test_it_changes_with_what_decides_a_score(tmp_path: Path, name: str) -> None:
    folder = checkpoint(tmp_path / "one")
    before = fingerprint(folder)
    (folder / name).write_text("other", encoding="utf-8")
    assert fingerprint(folder) != before


def test_it_changes_when_shards_change_places(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "one")
    before = fingerprint(folder)
    (folder / "a.safetensors").rename(folder / "c.safetensors")
    (folder / "b.safetensors").rename(folder / "a.safetensors")
    (folder / "c.safetensors").rename(folder / "b.safetensors")
    assert fingerprint(folder) != before


def test_it_does_not_change_with_the_card_or_a_calibration(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "one")
    before = fingerprint(folder)
    (folder / "README.md").write_text("other", encoding="utf-8")
    (folder / "calibration.json").write_text("{}", encoding="utf-8")
    assert fingerprint(folder) == before


def test_a_folder_without_weights_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        fingerprint(tmp_path)
    assert caught.value.code == "ckpt_missing"
