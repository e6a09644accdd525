"""What the triton kernels of the selective scan can take; asked without triton."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["MAX_WIDTH", "unfit"]

# Rows and columns of the state of a head.
MAX_WIDTH = 128


def unfit(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, *, chunk_size: int) -> str | None:
    """Say why the kernels cannot take these arguments, or return ``None``."""
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in (x, B, C)}
    if len(dtypes) > 1:
        return f"it takes x, B and C of one dtype, and these are {', '.join(sorted(dtypes))}"
    if torch.float64 in (x.dtype, dt.dtype, A.dtype):
        return "it computes in float32, and an argument is float64"
    if not 0 < B.shape[2] <= MAX_WIDTH:
        return f"it takes B and C of 1 to {MAX_WIDTH} elements, and these have {B.shape[2]}"
    if not 0 < x.shape[2] <= MAX_WIDTH:
        return f"it takes x of 1 to {MAX_WIDTH} elements a head, and this has {x.shape[2]}"
    if chunk_size > 64:
        return f"it takes chunks of at most 64 tokens, and chunk_size is {chunk_size}"
    return None
