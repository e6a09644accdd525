"""The processes of a run, and what they tell each other besides gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import torch

from librehps.device import choose_device
from librehps.errors import BackendError, ConfigError, InputError
from librehps.training.recipe import RunRecipe

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["Turn", "gather", "in_step", "mean", "open_processes"]

T = TypeVar("T")


@dataclass(frozen=True)
class Turn(Generic[T]):
    """One of the things that processes go through together.

    Args:
        item: What this process takes.
        counts: Whether it is the first time; if not, it keeps the others company.
        last: Whether none of them has another.
    """

    item: T
    counts: bool = True
    last: bool = False


def open_processes(run: RunRecipe, device: torch.device | str | None = None) -> Accelerator:
    """Meet the other processes that ``torchrun`` or ``accelerate launch`` began; maybe none.

    Args:
        run: For the precision.
        device: Where to train; accelerate's choice if ``None``.

    Raises:
        BackendError: DeepSpeed was asked for and is not installed (code ``deepspeed_missing``), or
            the device is not here (``device_unavailable``).
        ConfigError: They were begun in a way that is not supported, or on another device than was
            asked for (code ``run_processes``); there is no such device (``device_unknown``).
    """
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from accelerate.utils import parse_flag_from_env

    if parse_flag_from_env("ACCELERATE_USE_DEEPSPEED") and find_spec("deepspeed") is None:
        raise BackendError(
            "accelerate was told to use DeepSpeed, and it is not installed: install "
            "librehps[deepspeed]",
            code="deepspeed_missing",
        )
    # Where there is nothing else, accelerate must be told so, or each process would be alone.
    cpu = not torch.accelerator.is_available()
    wanted = None if device is None else choose_device(device)
    if wanted is not None:
        cpu = wanted.type == "cpu"
        if wanted.type == "cuda" and _index(wanted) is not None:
            # What accelerate takes where no launcher says otherwise.
            torch.cuda.set_device(wanted)
    accelerator = Accelerator(
        mixed_precision="bf16" if run.precision == "bfloat16" else "no",
        cpu=cpu,
        # A loss may leave a part of the heads alone, such as the sigma of Bradley-Terry.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    if accelerator.distributed_type not in ("NO", "MULTI_CPU", "MULTI_GPU", "FSDP", "DEEPSPEED"):
        raise ConfigError(
            f"{accelerator.distributed_type.value}: this release trains on one device, on several "
            "that each hold the whole model, with FSDP 2, or with DeepSpeed",
            code="run_processes",
        )
    if wanted is not None and not _is_on(accelerator.device, wanted):
        raise ConfigError(
            f"{str(wanted)!r} was asked for, and accelerate trains on {str(accelerator.device)!r}: "
            "under a launcher each process has a device of its own, so name its kind alone",
            code="run_processes",
        )
    return accelerator


def _is_on(device: torch.device, wanted: torch.device) -> bool:
    """Whether a device is the one that is wanted, of which there may be several."""
    if device.type != wanted.type or _index(wanted) is None:
        return device.type == wanted.type
    here = _index(device)
    return (torch.cuda.current_device() if here is None else here) == _index(wanted)


def _index(device: torch.device) -> int | None:
    """Return which one of its kind a device is, if that is said; torch's types say that it is."""
    return cast("int | None", device.index)


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


def in_step(accelerator: Accelerator, own: Iterable[T]) -> Iterator[Turn[T]]:
    """Go through what each process has until none has any left. All must call it.

    Args:
        accelerator: Of the run.
        own: What this process has, none of it ``None``; not as many as another, maybe. One more
            than is yielded is asked for ahead.

    Yields:
        Each of its own, then the last one again, which does not count, while others have some.

    Raises:
        InputError: This process has nothing at all and others have (code ``loader_empty``).
    """
    items = iter(own)
    item = following = next(items, None)
    more = any(gather(accelerator, following is not None))
    while more:
        if item is None:
            raise InputError(
                "one process has no comparison that can be used, and the others wait for it: "
                "there must be one for each",
                code="loader_empty",
            )
        counts, following = following is not None, next(items, None)
        more = any(gather(accelerator, following is not None))
        yield Turn(item, counts, last=not more)
        item = item if following is None else following


def mean(accelerator: Accelerator, own: float) -> float:
    """Return the mean of a number over all processes, in float32. All must call it."""
    if accelerator.num_processes == 1:
        return own
    number = torch.tensor(own, dtype=torch.float32, device=accelerator.device)
    return float(cast("torch.Tensor", accelerator.reduce(number, "mean")))
