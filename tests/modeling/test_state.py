from __future__ import annotations

import pytest
import torch

from librehps.errors import InputError
from librehps.modeling import AttentionState
from librehps.modeling.state import GatedDeltaNetState, Mamba2State, check_state


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


@pytest.mark.parametrize(
    ("heads", "sequences", "dtype"),
    [(2, 1, torch.float32), (1, 2, torch.float32), (1, 1, torch.bfloat16)],
    ids=["heads", "sequences", "dtype"],
)
def test_only_the_same_sequences_are_continued(
    heads: int, sequences: int, dtype: torch.dtype
) -> None:
    known, new = (
        AttentionState(
            key=torch.zeros(4, groups, 8, dtype=kind),
            value=torch.zeros(4, groups, 8, dtype=kind),
            cu_seqlens=torch.linspace(0, 4, count + 1).int(),
        )
        for groups, count, kind in ((1, 1, torch.float32), (heads, sequences, dtype))
    )
    with pytest.raises(InputError) as caught:
        known.extend(new)
    assert caught.value.code == "state_mismatch"


def test_a_state_of_another_kind_is_refused() -> None:
    state = GatedDeltaNetState(recurrent=torch.zeros(1, 1, 2, 2), conv=torch.zeros(1, 3, 3))
    check_state(state, GatedDeltaNetState)
    with pytest.raises(InputError, match="AttentionState was given a GatedDeltaNetState") as caught:
        check_state(state, AttentionState)
    assert caught.value.code == "state_mismatch"
    # The two have the same fields, and are no less different.
    with pytest.raises(InputError, match="Mamba2State was given a GatedDeltaNetState"):
        check_state(state, Mamba2State)
