"""Where a run stands, on disk: all that it needs to go on as if it had never stopped.

A snapshot is a folder ``step-<n>`` with weights and optimiser states as safetensors and the rest as
JSON; nothing is pickled. It is written beside its place and renamed, so that one that is there is
whole.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from librehps.data.loader import BadPair, Position
from librehps.errors import CheckpointError

__all__ = ["Progress", "latest_snapshot", "read_snapshot", "write_snapshot"]

_NAME = re.compile(r"step-(\d{8})")
_FORMAT = 1


@dataclass(frozen=True)
class Progress:
    """What is known of a run besides its tensors.

    Args:
        step: Updates that are done.
        position: Where the loader goes on.
        best_value: The best validation loss so far; ``None`` before the first.
        best_step: When that was.
        since_best: Measurements since then.
        bad: Comparisons that were left out so far.
    """

    step: int = 0
    position: Position = field(default_factory=Position)
    best_value: float | None = None
    best_step: int = 0
    since_best: int = 0
    bad: tuple[BadPair, ...] = ()


def write_snapshot(
    folder: Path,
    progress: Progress,
    *,
    model: nn.Module,
    optimizers: Mapping[str, torch.optim.Optimizer],
    recipe: Mapping[str, Any],
    keep: int = 2,
) -> Path:
    """Write a snapshot, and remove all but the last ``keep``.

    Args:
        folder: Folder of the run's snapshots.
        progress: Where the run stands.
        model: Its weights, of which those that learn are kept.
        optimizers: Their states, by name.
        recipe: What the run was started with; going on with another is refused.
        keep: How many snapshots stay.
    """
    place = folder / f"step-{progress.step:08d}"
    part = folder / f".{place.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    learning = _learning(model)
    weights = {
        name: tensor.contiguous().cpu()
        for name, tensor in model.state_dict().items()
        if name in learning
    }
    save_file(weights, part / "model.safetensors")
    numbers: dict[str, Any] = {}
    tensors: dict[str, torch.Tensor] = {}
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"{name}.{index}.{key}"] = value.contiguous().cpu()
                else:
                    numbers[f"{name}.{index}.{key}"] = value
    save_file(tensors, part / "optimizer.safetensors")
    text = {"format": _FORMAT, "progress": asdict(progress), "numbers": numbers, "recipe": recipe}
    (part / "state.json").write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    for file in part.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    if place.exists():
        shutil.rmtree(place)
    part.rename(place)
    for old in _snapshots(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def latest_snapshot(folder: Path) -> Path | None:
    """Return the last whole snapshot of a run, or ``None``."""
    found = _snapshots(folder)
    return found[-1] if found else None


def read_snapshot(
    place: Path,
    *,
    model: nn.Module,
    optimizers: Mapping[str, torch.optim.Optimizer],
    recipe: Mapping[str, Any],
) -> Progress:
    """Put a snapshot's tensors in place, and return where the run stands.

    Raises:
        CheckpointError: The snapshot is damaged (code ``snapshot_damaged``), or the recipe is
            another one (``snapshot_recipe``).
    """
    try:
        state = json.loads((place / "state.json").read_text("utf-8"))
        weights = load_file(place / "model.safetensors")
        tensors = load_file(place / "optimizer.safetensors")
        then, now = _said(state["recipe"]), _said(json.loads(json.dumps(recipe)))
        numbers, told = state["numbers"], state["progress"]
        bad = tuple(BadPair(**one) for one in told["bad"])
        progress = Progress(**(told | {"position": Position(**told["position"]), "bad": bad}))
    except Exception as error:
        raise CheckpointError(
            f"cannot be read: {error}", code="snapshot_damaged", item=str(place)
        ) from error
    if then != now:
        changed = sorted(key for key in {*then, *now} if then.get(key) != now.get(key))
        raise CheckpointError(
            f"was made by a recipe with another {', '.join(changed)}: resume with that recipe, or "
            "start in a new folder",
            code="snapshot_recipe",
            item=str(place),
        )
    try:
        found = model.load_state_dict(weights, strict=False)
        missing = _learning(model).intersection(found.missing_keys)
        if missing or found.unexpected_keys:
            raise KeyError(*sorted(missing), *found.unexpected_keys)
        # An earlier release kept the random state, which is now a function of the step.
        tensors.pop("rng.torch", None)
        for name, optimizer in optimizers.items():
            whole = optimizer.state_dict()
            whole["state"] = _nested(name, tensors, numbers)
            optimizer.load_state_dict(whole)
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"does not fit the model: {error}", code="snapshot_damaged", item=str(place)
        ) from error
    return progress


def _learning(model: nn.Module) -> set[str]:
    """Return the names of what changes in training; the rest is in the checkpoint of the start."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return model.state_dict().keys() - frozen


def _said(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe without what is off: an earlier release did not write later options."""
    return {
        key: _said(value) if isinstance(value, dict) else value
        for key, value in recipe.items()
        if value is not None
    }


def _nested(
    name: str, tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, Any]
) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for full, value in {**tensors, **numbers}.items():
        owner, index, key = full.split(".", 2)
        if owner == name:
            found.setdefault(int(index), {})[key] = value
    return found


def _snapshots(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
