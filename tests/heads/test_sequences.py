from __future__ import annotations

import pytest
import torch

from librehps.errors import InputError
from librehps.heads import HEADS, SequenceHead, Sequences
from librehps.heads.sequences import last_tokens

BOUNDS = torch.tensor([0, 4, 7, 14], dtype=torch.int32)
HIDDEN = torch.arange(28.0).view(14, 2)


def test_the_last_tokens_of_each_sequence() -> None:
    expected = torch.stack([HIDDEN[1:4], HIDDEN[4:7], HIDDEN[11:14]])
    assert torch.equal(Sequences(HIDDEN, BOUNDS).last(3), expected)
    assert last_tokens(BOUNDS, count=1).tolist() == [3, 6, 13]
    assert last_tokens(BOUNDS, count=2).tolist() == [2, 3, 5, 6, 12, 13]


def test_windows_are_sequences_of_equal_length() -> None:
    windows = torch.randn(3, 4, 2)
    packed = Sequences.of_windows(windows)
    assert packed.cu_seqlens.tolist() == [0, 4, 8, 12]
    assert torch.equal(packed.last(4), windows)
    assert torch.equal(packed.last(3), windows[:, 1:])
    # Nothing is looked up where the length is known: it is a view, without a copy.
    assert packed.last(3).untyped_storage().data_ptr() == packed.hidden.untyped_storage().data_ptr()
    # A part of a window is packed anew.
    assert torch.equal(Sequences.of_windows(windows[:, 1:]).last(3), windows[:, 1:])


@pytest.mark.parametrize(
    "empty", [Sequences(HIDDEN[:0], BOUNDS[:1]), Sequences.of_windows(torch.zeros(0, 5, 2))]
)
def test_no_sequences_give_no_windows(empty: Sequences) -> None:
    assert empty.last(5).shape == (0, 5, 2)


@pytest.mark.parametrize(
    ("sequences", "named"),
    [(Sequences(HIDDEN, BOUNDS), "sequence 1"), (Sequences.of_windows(HIDDEN[None, :3]), "seq")],
)
def test_a_sequence_that_is_too_short_is_named(sequences: Sequences, named: str) -> None:
    with pytest.raises(InputError, match=r"has 3 tokens.*the last 4.*prompt template") as caught:
        sequences.last(4)
    assert caught.value.code == "sequence_too_short"
    assert named in str(caught.value)


def test_heads_of_the_two_kinds_are_told_apart() -> None:
    kinds = {
        name
        for name in HEADS
        if isinstance(HEADS[name].from_config({}, hidden_size=8), SequenceHead)
    }
    assert {"attention_pooling", "axis_tokens"} <= kinds
    assert kinds.isdisjoint({"multi_axis", "scalar", "ranknet"})
