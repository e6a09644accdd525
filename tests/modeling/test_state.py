from __future__ import annotations

import torch

from librehps.modeling import AttentionState


def state(tokens: list[int], lengths: list[int]) -> AttentionState:
    key = torch.tensor(tokens, dtype=torch.float32).view(-1, 1, 1)
    bounds = torch.tensor([0, *lengths]).cumsum(0).int()
    return AttentionState(key=key, value=-key, cu_seqlens=bounds)


def test_new_tokens_follow_the_old_ones_of_their_sequence() -> None:
    whole = state([1, 2, 20, 30, 31], [2, 1, 2]).extend(state([3, 21, 22, 32], [1, 2, 1]))
    assert whole.key.flatten().tolist() == [1, 2, 3, 20, 21, 22, 30, 31, 32]
    assert whole.value.flatten().tolist() == [-1, -2, -3, -20, -21, -22, -30, -31, -32]
    assert whole.cu_seqlens.tolist() == [0, 3, 6, 9]
    assert whole.cu_seqlens.dtype == torch.int32
