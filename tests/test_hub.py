"""Folders and Hugging Face ids: which is which, and what is asked of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from librehps.errors import CheckpointError, ConfigError
from librehps.hub import find_checkpoint
from librehps.scorer import LibreHPS
from librehps.testing.tiny import make_tiny_checkpoint


class Hub:
    """Stands in for the network: records what was asked, answers with a folder or an error."""

    def __init__(self, answer: Path | Exception) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    def __call__(self, repo_id: str, **options: Any) -> str:
        self.asked.append({"repo_id": repo_id, **options})
        if isinstance(self.answer, Exception):
            raise self.answer
        return str(self.answer)


def test_a_folder_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    assert find_checkpoint(tmp_path) == tmp_path
    assert find_checkpoint(str(tmp_path)) == tmp_path
    assert hub.asked == []


@pytest.mark.parametrize(("revision", "local"), [(None, False), ("v1.1", True), ("abc", False)])
def test_an_id_is_asked_of_the_hub_with_its_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str | None, local: bool
) -> None:
    hub = Hub(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    assert find_checkpoint("owner/Name-1.0", revision=revision, local_files_only=local) == tmp_path
    assert hub.asked == [
        {
            "repo_id": "owner/Name-1.0",
            "revision": revision,
            "local_files_only": local,
            "allow_patterns": ["*.json", "*.safetensors", "*.md"],
        }
    ]


@pytest.mark.parametrize(
    "failure", [LocalEntryNotFoundError("not cached"), OSError("no route"), ConnectionError()]
)
def test_what_the_hub_does_not_have_is_a_checkpoint_error(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Hub(failure))
    with pytest.raises(CheckpointError, match="at revision 'v2' could not be fetched") as caught:
        find_checkpoint("owner/name", revision="v2")
    assert caught.value.code == "hub_unavailable"


@pytest.mark.parametrize(
    "name", ["nowhere", "a/b/c", "/nowhere/at/all", "../x", "./x", "", "a b/c", "x" * 5000, "a\0b"]
)
def test_a_path_that_is_not_there_never_reaches_the_hub(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    hub = Hub(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    with pytest.raises(CheckpointError) as caught:
        find_checkpoint(name)
    assert caught.value.code == "ckpt_missing"
    assert hub.asked == []


def test_a_path_object_is_never_an_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    with pytest.raises(CheckpointError):
        find_checkpoint(Path("owner/name"))
    assert hub.asked == []


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    with pytest.raises(CheckpointError, match="is a file"):
        find_checkpoint(file)


def test_a_folder_has_no_revision(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_checkpoint(tmp_path, revision="v1")
    assert caught.value.code == "revision_of_folder"


def test_nano_is_the_model_in_the_package_whatever_is_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nano").mkdir()
    bundled = find_checkpoint("nano")
    assert (bundled / "model.safetensors").is_file()
    assert find_checkpoint("./nano") == find_checkpoint(Path("nano")) == Path("nano")
    with pytest.raises(ConfigError) as caught:
        find_checkpoint("nano", revision="main")
    assert caught.value.code == "revision_of_folder"


def test_a_scorer_is_loaded_from_what_the_hub_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tiny_checkpoint(tmp_path / "tiny")
    hub = Hub(tmp_path / "tiny")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    remote = LibreHPS.from_pretrained(
        "owner/LibreHPS-4B", device="cpu", dtype="float32", revision="v1.1", local_files_only=True
    )
    (asked,) = hub.asked
    assert (asked["repo_id"], asked["revision"], asked["local_files_only"]) == (
        "owner/LibreHPS-4B",
        "v1.1",
        True,
    )
    local = LibreHPS.from_pretrained(tmp_path / "tiny", device="cpu", dtype="float32")
    image = np.full((40, 40, 3), 128, dtype=np.uint8)
    prompt = "grey"
    assert remote.score_image(image=image, prompt=prompt) == local.score_image(
        image=image, prompt=prompt
    )
