"""Checkpoints of a run that can be scored with: plain ones, however the weights are trained."""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from torch import nn

from librehps.calibration.io import FILE_NAME
from librehps.inputs.processor import Processor
from librehps.model import PreferenceModel
from librehps.training.adapters import merge_adapters, write_adapters
from librehps.training.optimizers import part_of
from librehps.typing import Tensor
from librehps.writing import write_bytes

__all__ = ["save_checkpoint", "without_weights"]


def without_weights(model: PreferenceModel) -> PreferenceModel:
    """Return a copy of a model whose parameters have shapes and take no memory."""
    empty = {
        id(tensor): nn.Parameter(tensor.detach().to("meta"), requires_grad=False)
        for tensor in chain(model.parameters(), model.buffers())
    }
    return copy.deepcopy(model, empty)


def save_checkpoint(
    folder: Path,
    model: PreferenceModel,
    state: dict[str, Tensor],
    *,
    plain: PreferenceModel,
    processor: Processor,
) -> None:
    """Write a checkpoint, and beside it in ``<folder>-adapter`` the adapters if there are any.

    Args:
        folder: A new folder, or an older checkpoint to replace, with its calibration if it has one.
        model: What learns.
        state: Its tensors by name, whole.
        plain: The model as it was before anything was added for training, `without_weights`.
        processor: What goes into the folder beside the weights.

    Raises:
        CheckpointError: See `PreferenceModel.save_pretrained`.
    """
    # A copy of its own, so that merged weights take memory no longer than they are needed.
    saved = without_weights(plain)
    saved.load_state_dict(merge_adapters(model, state), assign=True)
    saved.trained = True
    with _fits_aside(folder):
        saved.save_pretrained(folder, processor=processor)
    if any(part_of(name) == "adapters" for name in state):
        of_backbone = {
            name.removeprefix("model."): tensor
            for name, tensor in state.items()
            if name.startswith("model.")
        }
        write_adapters(model.model, of_backbone, folder.with_name(f"{folder.name}-adapter"))


@contextmanager
def _fits_aside(folder: Path) -> Generator[None]:
    """Take away what was fitted to the weights that stand here, and put it back if they stay."""
    calibration = folder / FILE_NAME
    fits = [path for path in (calibration, calibration.with_suffix(".png")) if path.is_file()]
    kept = {path: path.read_bytes() for path in fits}
    for path in kept:
        path.unlink()
    try:
        yield
    except BaseException:
        for path, data in kept.items():
            write_bytes(path, data)
        raise
