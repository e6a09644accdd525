"""Memory that is NaN until something is written to it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

__all__ = ["poisoned_memory"]


@contextmanager
def poisoned_memory() -> Generator[None, None, None]:
    """Fill what ``torch.empty``, ``empty_like`` and ``Tensor.new_empty`` return with NaN.

    A kernel that leaves a part of its output unwritten often finds zeros or an earlier, right
    answer there and passes; with this it cannot. Integers are left alone.
    """
    with (
        patch.object(torch, "empty", _poisoning(torch.empty)),
        patch.object(torch, "empty_like", _poisoning(torch.empty_like)),
        patch.object(Tensor, "new_empty", _poisoning(Tensor.new_empty)),
    ):
        yield


def _poisoning(allocate: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def allocate_nan(*args: Any, **options: Any) -> Tensor:
        tensor = allocate(*args, **options)
        return tensor.fill_(float("nan")) if tensor.is_floating_point() else tensor

    return allocate_nan
