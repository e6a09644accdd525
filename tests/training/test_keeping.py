from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from librehps import LibreHPS
from librehps.errors import CheckpointError
from librehps.model import PreferenceModel
from librehps.processing import load_processor
from librehps.training.adapters import add_adapters
from librehps.training.keeping import save_checkpoint, without_weights
from librehps.training.recipe import LoraRecipe


@pytest.mark.parametrize("adapted", [False, True])
def test_what_is_saved_is_plain_and_leaves_what_learns_alone(
    place: Path, tmp_path: Path, adapted: bool
) -> None:
    model = PreferenceModel.from_pretrained(place / "start")
    plain = without_weights(model)
    assert {tensor.device.type for tensor in plain.parameters()} == {"meta"}
    if adapted:
        add_adapters(model.model, LoraRecipe(rank=2))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_checkpoint(
        tmp_path / "best",
        model,
        model.state_dict(),
        plain=plain,
        processor=load_processor(place / "start"),
    )
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {tensor.device.type for tensor in plain.parameters()} == {"meta"}
    names = {"best", "best-adapter"} if adapted else {"best"}
    assert {path.name for path in tmp_path.iterdir()} == names
    # Updates begin at zero: what is saved before any step is the start itself.
    start, saved = (
        load_file(folder / "model.safetensors") for folder in (place / "start", tmp_path / "best")
    )
    assert start.keys() == saved.keys()
    assert all(torch.equal(start[name], saved[name]) for name in start)
    assert LibreHPS.from_pretrained(tmp_path / "best", device="cpu").trained


def test_a_calibration_of_the_weights_before_goes_with_them(place: Path, tmp_path: Path) -> None:
    model = PreferenceModel.from_pretrained(place / "start")
    plain, processor = without_weights(model), load_processor(place / "start")
    for _ in range(2):
        save_checkpoint(
            tmp_path / "best", model, model.state_dict(), plain=plain, processor=processor
        )
        names = {path.name for path in (tmp_path / "best").iterdir()}
        assert not [name for name in names if name.startswith("calibration")]
        for name in ("calibration.json", "calibration.png"):
            (tmp_path / "best" / name).write_text("of other weights")
    # Whatever else lies there is somebody's.
    (tmp_path / "best" / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError, match=r"notes\.txt"):
        save_checkpoint(
            tmp_path / "best", model, model.state_dict(), plain=plain, processor=processor
        )
    # Then the weights before stay, and with them what was fitted to them.
    fits = {path.name for path in (tmp_path / "best").glob("calibration.*")}
    assert fits == {"calibration.json", "calibration.png"}
    assert (tmp_path / "best" / "calibration.json").read_text() == "of other weights"
