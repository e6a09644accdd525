"""The processes of a run, and what they tell each other besides gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar, cast

import torch

from librehps.errors import ConfigError, InputError
from librehps.training.recipe import RunRecipe

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["gather", "in_step", "mean", "open_processes"]

T = TypeVar("T")


def open_processes(run: RunRecipe, device: torch.device | str | None = None) -> Accelerator:
    """Meet the other processes that ``torchrun`` or ``accelerate launch`` began; maybe none.

    Args:
        run: For the precision.
        device: Where to train; accelerate's choice if ``None``.

    Raises:
        ConfigError: They were begun in a way that is not supported (code ``run_processes``).
    """
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from accelerate.utils import parse_flag_from_env

    if parse_flag_from_env("ACCELERATE_USE_DEEPSPEED"):
        raise ConfigError(
            "DeepSpeed is not supported: to cut the weights over devices, use FSDP 2",
            code="run_processes",
        )
    # Where there is nothing else, accelerate must be told so, or each process would be alone.
    cpu = not torch.accelerator.is_available()
    if device is not None:
        cpu = torch.device(device).type == "cpu"
    accelerator = Accelerator(
        mixed_precision="bf16" if run.precision == "bfloat16" else "no",
        cpu=cpu,
        # A loss may leave a part of the heads alone, such as the sigma of Bradley-Terry.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    if accelerator.distributed_type not in ("NO", "MULTI_CPU", "MULTI_GPU", "FSDP"):
        raise ConfigError(
            f"{accelerator.distributed_type.value}: this release trains on one device, on several "
            "that each hold the whole model, or with FSDP 2",
            code="run_processes",
        )
    return accelerator


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


def in_step(accelerator: Accelerator, own: Iterable[T]) -> Iterator[tuple[T, bool]]:
    """Go through what each process has until none has any left. All must call it.

    Args:
        accelerator: Of the run.
        own: What this process has, none of it ``None``; not as many as another, maybe.

    Yields:
        Each of its own with True, then the last one again with False while others have some.

    Raises:
        InputError: This process has nothing at all and others have (code ``loader_empty``).
    """
    items, last = iter(own), None
    while True:
        found = next(items, None)
        if not any(gather(accelerator, found is not None)):
            return
        if found is not None:
            last = found
        if last is None:
            raise InputError(
                "one process has no comparison that can be used, and the others wait for it: "
                "there must be one for each",
                code="loader_empty",
            )
        yield last, found is not None


def mean(accelerator: Accelerator, own: float) -> float:
    """Return the mean of a number over all processes, in float32. All must call it."""
    if accelerator.num_processes == 1:
        return own
    number = torch.tensor(own, dtype=torch.float32, device=accelerator.device)
    return float(cast("torch.Tensor", accelerator.reduce(number, "mean")))
