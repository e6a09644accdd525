"""Checks of op arguments: cheap, and all but one of them without waiting for a device."""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from librehps.errors import ConfigError, InputError

__all__ = [
    "check_boundaries",
    "check_eps",
    "check_float",
    "check_last_dimension",
    "check_rows",
    "check_same_device",
    "check_shape",
    "check_tensors",
    "compute_dtype",
]

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Where a tensor on a device keeps what its values were found to be.
_MARK = "_rises_to"


def check_tensors(**values: Any) -> None:
    """Raise unless everything that is given is a tensor.

    Raises:
        InputError: Something is not (code ``argument_dtype``).
    """
    for name, value in values.items():
        if not isinstance(value, Tensor):
            raise InputError(
                f"{name} is {'None' if value is None else f'a {type(value).__name__}'}, expected a "
                "tensor",
                code="argument_dtype",
                item=name,
            )


def check_eps(eps: Any) -> None:
    """Raise unless what is added to a mean of squares is a number that can be.

    Raises:
        ConfigError: It is not (code ``eps``).
    """
    if not isinstance(eps, int | float) or not 0.0 <= eps <= sys.float_info.max:
        raise ConfigError(f"eps is {eps!r}; expected a finite number from 0", code="eps")


def check_shape(name: str, tensor: Tensor, shape: tuple[int | None, ...]) -> None:
    """Raise unless ``tensor`` has this shape; ``None`` stands for any size.

    Raises:
        InputError: It does not (code ``argument_shape``).
    """
    found = tuple(tensor.shape)
    fits = len(found) == len(shape) and all(
        wanted is None or size == wanted for size, wanted in zip(found, shape, strict=True)
    )
    if not fits:
        text = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(
            f"{name} has shape {list(found)}, expected [{text}]", code="argument_shape", item=name
        )


def check_last_dimension(name: str, tensor: Tensor) -> None:
    """Raise unless ``tensor`` is made of rows that hold something.

    Raises:
        InputError: No dimension, or the last one is empty (code ``argument_shape``).
    """
    if not tensor.shape or tensor.shape[-1] == 0:
        raise InputError(
            f"{name} has shape {list(tensor.shape)}; its last dimension must hold something",
            code="argument_shape",
            item=name,
        )


def check_float(**tensors: Tensor) -> None:
    """Raise unless every tensor holds floating point numbers of 16, 32 or 64 bits.

    Raises:
        InputError: One does not, or is no tensor (code ``argument_dtype``).
    """
    check_tensors(**tensors)
    for name, tensor in tensors.items():
        if tensor.dtype not in _FLOATS:
            raise InputError(
                f"{name} is {tensor.dtype}, expected float16, bfloat16, float32 or float64",
                code="argument_dtype",
                item=name,
            )


def check_rows(**tensors: Tensor | None) -> None:
    """Raise unless the last dimension of every tensor that is given lies side by side in memory.

    The others may lie as they like: heads and halves of a projection are views that every kernel
    reads as they are. A row that is strewn would be copied, whole tensor by whole tensor, and
    whoever gave it would not know.

    Raises:
        InputError: One does not (code ``argument_layout``).
    """
    for name, tensor in tensors.items():
        if tensor is None or not tensor.dim() or tensor.shape[-1] <= 1 or not tensor.numel():
            continue
        if tensor.stride(-1) != 1:
            raise InputError(
                f"{name} is a view whose last dimension has a stride of {tensor.stride(-1)}: give "
                "its contiguous()",
                code="argument_layout",
                item=name,
            )


def check_same_device(**tensors: Tensor | None) -> None:
    """Raise unless all tensors that are given are on one device.

    Raises:
        InputError: They are not (code ``argument_device``).
    """
    given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    check_tensors(**given)
    present = {name: tensor.device for name, tensor in given.items()}
    if len(set(present.values())) > 1:
        places = ", ".join(f"{name} on {device}" for name, device in present.items())
        first, *others = present.items()
        raise InputError(
            f"tensors are on different devices: {places}",
            code="argument_device",
            item=next(name for name, device in others if device != first[1]),
        )


def check_boundaries(name: str, boundaries: Tensor, tokens: int) -> None:
    """Raise unless ``boundaries`` are cumulative sequence lengths: 0 < ... < ``tokens``.

    On a device their values are waited for once: the tensor keeps that they are good, for the other
    ops and layers that get it, until it is written to. Nothing is read while a CUDA graph is
    captured.

    Raises:
        InputError: Code ``boundaries`` for wrong values; ``argument_shape``, ``argument_dtype``
            (for what is no tensor, too), or ``argument_layout`` for a view whose values do not lie
            side by side.
    """
    check_tensors(**{name: boundaries})
    if boundaries.dtype not in (torch.int32, torch.int64):
        raise InputError(
            f"{name} is {boundaries.dtype}, expected int32 or int64",
            code="argument_dtype",
            item=name,
        )
    if boundaries.dim() != 1 or boundaries.numel() < 2:
        raise InputError(
            f"{name} has shape {list(boundaries.shape)}, expected [N + 1] with N >= 1",
            code="argument_shape",
            item=name,
        )
    if not boundaries.is_contiguous():
        raise InputError(
            f"{name} is a view with a stride of {boundaries.stride(0)}: give its contiguous()",
            code="argument_layout",
            item=name,
        )
    mark = None if boundaries.is_inference() else (boundaries._version, tokens)
    if boundaries.device.type != "cpu":
        known = mark is not None and getattr(boundaries, _MARK, None) == mark
        if known or boundaries.device.type == "meta" or _captured(boundaries.device):
            return
    values: list[int] = boundaries.tolist()
    rising = all(low < high for low, high in pairwise(values))
    if values[0] != 0 or values[-1] != tokens or not rising:
        raise InputError(
            f"{name} must rise strictly from 0 to {tokens}, the number of tokens; got "
            f"{values if len(values) <= 16 else [*values[:8], '...', *values[-7:]]}",
            code="boundaries",
            item=name,
        )
    if boundaries.device.type != "cpu":
        kept: Any = boundaries
        setattr(kept, _MARK, mark)


def _captured(device: torch.device) -> bool:
    if device.type != "cuda" or not torch.cuda.is_initialized():
        return False
    return torch.cuda.is_current_stream_capturing()


def compute_dtype(*tensors: Tensor) -> torch.dtype:
    """Return float64 if any tensor is float64, else float32: what reductions and states use."""
    wide = any(tensor.dtype == torch.float64 for tensor in tensors)
    return torch.float64 if wide else torch.float32
