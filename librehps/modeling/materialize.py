"""From the tensors of a checkpoint to a backbone: which goes where, and filling it one by one."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from librehps.errors import CheckpointError
from librehps.modeling.checkpoint import CheckpointReader
from librehps.modeling.precision import keeps_float32

__all__ = ["TensorNames", "check_backbone", "fill_backbone", "sort_names", "without_memory"]

#: Tensors of a Qwen3.5 file that a reward model has no use for: it predicts no tokens.
_SKIPPED = re.compile(r"(mtp|lm_head)\..*")
_PREFIX = "model."
_BARE = ("language_model.", "visual.")
_SHOWN = 5


@dataclass(frozen=True)
class TensorNames:
    """The tensors of a checkpoint by what they are for.

    Args:
        backbone: For each parameter of the backbone the tensor's name in the file.
        others: Shapes of all other tensors: the heads, and what should not be there.
    """

    backbone: dict[str, str]
    others: dict[str, tuple[int, ...]]


def sort_names(reader: CheckpointReader) -> TensorNames:
    """Sort a checkpoint's tensors by their names; ``mtp.*`` and ``lm_head.*`` are left out.

    The backbone's are under ``model.``; a file of the bare backbone, as transformers saves its base
    model, has ``language_model.*`` and ``visual.*`` at the top.
    """
    names = [name for name in reader.shapes if not _SKIPPED.fullmatch(name)]
    bare = not any(name.startswith(_PREFIX) for name in names)
    backbone: dict[str, str] = {}
    others: dict[str, tuple[int, ...]] = {}
    for name in names:
        if name.startswith(_BARE if bare else _PREFIX):
            backbone[name if bare else name.removeprefix(_PREFIX)] = name
        else:
            others[name] = reader.shapes[name]
    return TensorNames(backbone=backbone, others=others)


def check_backbone(backbone: nn.Module, reader: CheckpointReader, names: TensorNames) -> None:
    """Check that every parameter has its tensor and every tensor its parameter, before any is read.

    Raises:
        CheckpointError: A tensor is missing (code ``ckpt_missing_tensor``), one too many
            (``ckpt_unexpected_tensor``), of another shape (``ckpt_shape``) or of a dtype that is
            not allowed (``ckpt_dtype``).
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in backbone.state_dict().items()}
    missing = [name for name in wanted if name not in names.backbone]
    unexpected = [tensor for name, tensor in names.backbone.items() if name not in wanted]
    if missing:
        raise CheckpointError(
            f"config.json asks for tensors that the checkpoint does not have: {_list(missing)}",
            code="ckpt_missing_tensor",
            item=str(reader.folder),
        )
    if unexpected:
        raise CheckpointError(
            f"the checkpoint has tensors that config.json has no place for: {_list(unexpected)}",
            code="ckpt_unexpected_tensor",
            item=str(reader.folder),
        )
    shapes = reader.shapes
    for name, shape in wanted.items():
        tensor = names.backbone[name]
        _ = reader.dtype(tensor)
        if shapes[tensor] != shape:
            raise CheckpointError(
                f"has shape {list(shapes[tensor])}; config.json asks for {list(shape)}",
                code="ckpt_shape",
                item=tensor,
            )


def fill_backbone(
    backbone: nn.Module,
    reader: CheckpointReader,
    names: TensorNames,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
) -> None:
    """Give a backbone on the ``meta`` device its weights, in the order in which they lie on disk.

    Args:
        backbone: Built on ``meta``, and checked with `check_backbone`.
        reader: The checkpoint.
        names: What `sort_names` returned for it.
        dtype: Of the weights, but for those that stay in float32.
        device: Where they go.

    Raises:
        CheckpointError: See `CheckpointReader.load`.
    """
    for name, tensor in names.backbone.items():
        path, _, leaf = name.rpartition(".")
        owner = backbone.get_submodule(path)
        kept = torch.float32 if keeps_float32(name) else dtype
        filled = reader.load(tensor, dtype=kept, device=device)
        if leaf in dict(owner.named_parameters(recurse=False)):
            owner.register_parameter(leaf, nn.Parameter(filled))
        else:
            owner.register_buffer(leaf, filled)


@contextmanager
def without_memory() -> Generator[None]:
    """Build modules on the ``meta`` device, without drawing initial weights that have no place.

    There is nothing to draw into. And some of what drawing does, such as ``normal_``, would make
    torch import its compiler to do nothing, which takes seconds and a hundred megabytes.
    """
    with torch.device("meta"), _SkipInit():
        yield


class _SkipInit(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        name = str(getattr(func, "__name__", ""))
        in_place = name.endswith("_") and not name.endswith("__") and name != "requires_grad_"
        if in_place or getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else named["tensor"]
        return func(*args, **named)


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
