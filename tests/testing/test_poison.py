"""Tests of memory that is NaN until something is written to it."""

from __future__ import annotations

import torch

from librehps.testing.poison import poisoned_memory


def test_new_memory_is_nan_inside_and_plain_again_outside() -> None:
    plain = torch.empty
    with poisoned_memory():
        x = torch.empty(2, 3)
        made = (x, torch.empty_like(x, dtype=torch.float16), x.new_empty((4,)))
        counts = torch.empty(3, dtype=torch.int64)
    assert all(tensor.isnan().all() for tensor in made)
    assert [tensor.dtype for tensor in made] == [torch.float32, torch.float16, torch.float32]
    assert counts.dtype == torch.int64
    assert torch.empty is plain
