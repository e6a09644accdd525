"""Whole tensors are left alone; those that are cut are seen in ``test_fsdp``."""

from __future__ import annotations

from pathlib import Path

import torch

from librehps.model import PreferenceModel
from librehps.training.sharding import cut_like, whole, whole_state


def test_what_is_not_cut_is_whole_already(place: Path) -> None:
    model = PreferenceModel.from_pretrained(place / "start")
    state = whole_state(model, keep=True)
    assert state.keys() == model.state_dict().keys()
    assert whole_state(model, keep=True, names={"none"}) == {}
    assert whole_state(model, keep=False) == {}
    tensor = torch.ones(3)
    assert whole(tensor) is tensor
    assert cut_like(tensor, torch.zeros(3)) is tensor
