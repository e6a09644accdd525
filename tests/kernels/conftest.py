"""What triton's interpreter does otherwise than a GPU, and memory without bounds."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

# Linux's MAP_NORESERVE, which Python's module has had a name for since 3.13 only.
_NO_RESERVE = 0x4000


@pytest.fixture
def gpu_extremes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``tl.maximum`` and ``tl.minimum`` forget a NaN, as on a GPU; the interpreter keeps it."""
    if torch.cuda.is_available():
        return
    from triton.runtime.interpreter import InterpreterBuilder

    for name, operation in (("create_maxnumf", np.fmax), ("create_minnumf", np.fmin)):

        def forgetful(builder: Any, a: Any, b: Any, operation: Any = operation) -> Any:
            return builder.binary_op(a, b, operation)

        monkeypatch.setattr(InterpreterBuilder, name, forgetful)


@pytest.fixture
def far_apart() -> Callable[[Tensor], Tensor]:
    """Return a function that copies [T, H, D] to where heads lie 2**30 elements apart.

    Of the addresses only those that are written take memory. There is as much before the tensor as
    behind it: an offset that has overflowed finds zeros.
    """
    if torch.cuda.is_available():
        pytest.skip("a GPU has no memory without bounds")

    def copied(x: Tensor) -> Tensor:
        apart, size = 2**30, x.element_size()
        half = x.shape[1] * apart
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
        try:
            room = mmap.mmap(-1, 2 * half * size, flags=flags)
        except OSError as error:
            pytest.skip(f"no addresses to waste: {error}")
        whole = torch.frombuffer(room, dtype=x.dtype)
        strides = (x.shape[2], apart, 1)
        return whole.as_strided(x.shape, strides, storage_offset=half).copy_(x)

    return copied
