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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from librehps.data.loader import BadPair, Position
from librehps.data.records import Comparison
from librehps.errors import CheckpointError
from librehps.inputs.processor import Processor
from librehps.model import PreferenceModel
from librehps.training.distribution import StatefulOptimizer
from librehps.training.sharding import cut_like, whole, whole_state

__all__ = [
    "Progress",
    "check_recipe",
    "comparisons_digest",
    "fingerprint",
    "inputs_digest",
    "latest_snapshot",
    "read_snapshot",
    "write_snapshot",
    "write_tensors",
]

_NAME = re.compile(r"step-(\d{8})")
_FORMAT = 1
# What a run is not gone on with over, and the code of the error.
_OTHER_INPUTS = (
    "over a start with another template, tokenizer, pixel budget or pooling: put back the "
    "checkpoint",
    "snapshot_start",
)
_OTHER_DATA = (
    "with other comparisons, in which its place means nothing: put back the files",
    "snapshot_data",
)
_OTHER_WEIGHTS = (
    "over a start with other weights, of which it holds only those that learn: put back the "
    "checkpoint",
    "snapshot_start",
)


@dataclass(frozen=True)
class Progress:
    """What is known of a run besides its tensors.

    Args:
        step: Updates that are done.
        position: Where the loader goes on.
        best_value: The best validation loss so far; ``None`` before the first.
        best_step: When that was.
        since_best: Measurements since then.
        measured: Updates that were done at the last measurement.
        bad: Comparisons that were left out so far.
    """

    step: int = 0
    position: Position = field(default_factory=Position)
    best_value: float | None = None
    best_step: int = 0
    since_best: int = 0
    measured: int = 0
    bad: tuple[BadPair, ...] = ()


def write_snapshot(
    folder: Path,
    progress: Progress,
    *,
    model: nn.Module,
    optimizers: Mapping[str, StatefulOptimizer],
    recipe: Mapping[str, Any],
    frozen: str = "",
    inputs: str = "",
    processes: int = 1,
    data: str = "",
    writes: bool = True,
    keep: int = 2,
) -> Path:
    """Write a snapshot, and remove all but the last ``keep``. All processes must call it.

    Args:
        folder: Folder of the run's snapshots.
        progress: Where the run stands.
        model: Its weights, of which those that learn are kept.
        optimizers: Their states, by name.
        recipe: What the run was started with; going on with another is refused.
        frozen: The `fingerprint` of the model at the start; going on over another is refused.
        inputs: What tells apart how comparisons become inputs; going on with other is refused.
        processes: How many go through the data together; going on with others is refused.
        data: The `comparisons_digest` of what is learned from; going on with other is refused.
        writes: Whether this process writes; the others hand over their shares of tensors.
        keep: How many snapshots stay.
    """
    place = folder / f"step-{progress.step:08d}"
    learning = whole_state(model, keep=writes, names=_learning(model))
    weights = {name: tensor.contiguous().cpu() for name, tensor in learning.items()}
    numbers: dict[str, Any] = {}
    tensors: dict[str, torch.Tensor] = {}
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                if not isinstance(value, torch.Tensor):
                    numbers[f"{name}.{index}.{key}"] = value
                    continue
                full = whole(value)
                if writes:
                    tensors[f"{name}.{index}.{key}"] = full.contiguous().cpu()
    if not writes:
        return place
    part = folder / f".{place.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    write_tensors(weights, part / "model.safetensors")
    write_tensors(tensors, part / "optimizer.safetensors")
    text = {
        "format": _FORMAT,
        "progress": asdict(progress),
        "numbers": numbers,
        "processes": processes,
        "frozen": frozen,
        "inputs": inputs,
        "data": data,
        "recipe": recipe,
    }
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
    optimizers: Mapping[str, StatefulOptimizer],
    recipe: Mapping[str, Any],
    frozen: str = "",
    inputs: str = "",
    processes: int = 1,
    data: str = "",
) -> Progress:
    """Put a snapshot's tensors in place, and return where the run stands.

    Raises:
        CheckpointError: The snapshot is damaged (code ``snapshot_damaged``), the recipe is another
            one (``snapshot_recipe``), or so are the number of processes (``snapshot_processes``),
            the comparisons (``snapshot_data``), or the weights of the start that do not learn, its
            template, tokenizer or pixel budget (``snapshot_start``).
    """
    try:
        state = json.loads((place / "state.json").read_text("utf-8"))
        weights = load_file(place / "model.safetensors")
        tensors = load_file(place / "optimizer.safetensors")
        then = dict(state["recipe"])
        numbers, told, shared_by = state["numbers"], state["progress"], state.get("processes", 1)
        bad = tuple(BadPair(**one) for one in told["bad"])
        # An earlier version wrote no snapshot before what was due had been measured.
        told = {"measured": told["step"]} | told
        progress = Progress(**(told | {"position": Position(**told["position"]), "bad": bad}))
    except Exception as error:
        raise CheckpointError(
            f"cannot be read: {error}{_without(place)}", code="snapshot_damaged", item=str(place)
        ) from error
    check_recipe(then, recipe, item=str(place))
    if shared_by != processes:
        # Each takes its share of a step: with others, the steps would be of other sizes.
        raise CheckpointError(
            f"was made by {shared_by} processes, and this is {processes}: start as many",
            code="snapshot_processes",
            item=str(place),
        )
    for name, now, other, code in (
        ("inputs", inputs, *_OTHER_INPUTS),
        ("data", data, *_OTHER_DATA),
        ("frozen", frozen, *_OTHER_WEIGHTS),
    ):
        # An earlier version did not look at these three.
        if state.get(name, now) != now:
            raise CheckpointError(
                f"was made {other} that the run began with, or start in a new folder",
                code=code,
                item=str(place),
            )
    try:
        now_there = model.state_dict()
        weights = {name: cut_like(one, now_there[name]) for name, one in weights.items()}
        found = model.load_state_dict(weights, strict=False)
        missing = _learning(model).intersection(found.missing_keys)
        if missing or found.unexpected_keys:
            raise KeyError(*sorted(missing), *found.unexpected_keys)
        # An earlier version kept the random state, which is now a function of the step.
        tensors.pop("rng.torch", None)
        for name, optimizer in optimizers.items():
            known = optimizer.state_dict()
            known["state"] = _nested(name, tensors, numbers)
            for index, one in enumerate(one for g in optimizer.param_groups for one in g["params"]):
                for key, value in known["state"].get(index, {}).items():
                    # Moments are cut as their parameter is; the number of the step is not.
                    if isinstance(value, torch.Tensor) and value.shape == one.shape:
                        known["state"][index][key] = cut_like(value, one)
            optimizer.load_state_dict(known)
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"does not fit the model: {error}{_without(place)}",
            code="snapshot_damaged",
            item=str(place),
        ) from error
    return progress


def fingerprint(model: nn.Module) -> str:
    """Return what tells the weights of a model that do not learn from others; "" if all learn.

    It is a hash of their names, their shapes, and some thousand values of each: who trains a tensor
    or draws it anew changes nearly all of them, and a look at all would take as long as loading.

    Args:
        model: A whole one, in which it is settled what learns.
    """
    frozen = [(name, one) for name, one in model.named_parameters() if not one.requires_grad]
    digest = sha256()
    for name, parameter in frozen:
        values = parameter.detach().flatten()
        some = values[:: max(1, len(values) // 1000)].to("cpu", torch.float64)
        digest.update(f"{name} {list(parameter.shape)}".encode() + some.numpy().tobytes())
    return digest.hexdigest() if frozen else ""


def comparisons_digest(files: Iterable[Sequence[Comparison]]) -> str:
    """Return what tells comparisons from others: who said what of which, without the pictures."""
    digest = sha256()
    for comparisons in files:
        digest.update(b"file")
        for one in comparisons:
            digest.update(repr(one).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def inputs_digest(processor: Processor, model: PreferenceModel) -> str:
    """Return what tells apart how comparisons become what the heads see, besides the weights."""
    said = {**processor.to_dict(), "pooling": model.pooling}
    tokenizer = processor.tokenizer.to_json()
    return sha256(f"{json.dumps(said, sort_keys=True)}{tokenizer}".encode()).hexdigest()


def check_recipe(then: Mapping[str, Any], now: Mapping[str, Any], *, item: str) -> None:
    """Refuse to go on with a run by another recipe than it was begun with.

    Args:
        then: The recipe as JSON data, as it was written.
        now: The same, as it is.
        item: What has the first.

    Raises:
        CheckpointError: They differ (code ``snapshot_recipe``).
    """
    before, after = _said(then), _said(json.loads(json.dumps(now)))
    changed = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    if changed:
        raise CheckpointError(
            f"was made by a recipe with another {', '.join(changed)}: resume with that recipe, or "
            "start in a new folder",
            code="snapshot_recipe",
            item=item,
        )


def write_tensors(
    tensors: dict[str, torch.Tensor], file: Path, *, metadata: dict[str, str] | None = None
) -> None:
    """Write a file of safetensors.

    Raises:
        OSError: It cannot be written; the library has an error of its own for that.
    """
    try:
        save_file(tensors, file, metadata=metadata)
    except SafetensorError as error:
        raise OSError(f"{file}: {error}") from error


def _without(place: Path) -> str:
    """Say what can be gone on from without a snapshot."""
    older = [path for path in _snapshots(place.parent) if path.name < place.name]
    return f"; remove this folder to go on from {older[-1].name}" if older else ""


def _learning(model: nn.Module) -> set[str]:
    """Return the names of what changes in training; the rest is in the checkpoint of the start."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return model.state_dict().keys() - frozen


def _said(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe without what is off: an earlier version did not write later options."""
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
