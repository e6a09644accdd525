"""What the processes of a run tell each other besides gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import torch

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["gather", "mean"]

T = TypeVar("T")


def gather(accelerator: Accelerator, own: T) -> list[T]:
    """Return what all processes have, in their order. All must call it.

    Args:
        accelerator: Of the run.
        own: What this process has; it is pickled on its way to the others of the same run.
    """
    from accelerate.utils import gather_object

    if accelerator.num_processes == 1:
        return [own]
    return cast("list[T]", gather_object([own]))


def mean(accelerator: Accelerator, own: float) -> float:
    """Return the mean of a number over all processes, in float32. All must call it."""
    if accelerator.num_processes == 1:
        return own
    number = torch.tensor(own, dtype=torch.float32, device=accelerator.device)
    return float(cast("torch.Tensor", accelerator.reduce(number, "mean")))
