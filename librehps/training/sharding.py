"""Tensors that are cut over several processes, and whole ones."""

from __future__ import annotations

from collections.abc import Container
from typing import cast

from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

from librehps.typing import Tensor

__all__ = ["cut_like", "whole", "whole_state"]


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor; one that is cut is put together, and all processes must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def cut_like(tensor: Tensor, model: Tensor) -> Tensor:
    """Return this process's share of a whole tensor, cut as another one is; or all of it."""
    if not isinstance(model, DTensor):
        return tensor
    return distribute_tensor(
        tensor.to(model.device), model.device_mesh, model.placements, src_data_rank=None
    )


def whole_state(
    model: nn.Module, *, keep: bool, names: Container[str] | None = None
) -> dict[str, Tensor]:
    """Return tensors of a model by name, whole. All processes must call it.

    Args:
        model: Cut or not.
        keep: Whether this process needs them; if not, it has no more than one at a time, and
            returns nothing.
        names: Which of them, the same in every process; ``None`` for all.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in cast("dict[str, Tensor]", model.state_dict()).items():
        if names is not None and name not in names:
            continue
        full = whole(tensor)
        if keep:
            found[name] = full.cpu() if isinstance(tensor, DTensor) else full
    return found
