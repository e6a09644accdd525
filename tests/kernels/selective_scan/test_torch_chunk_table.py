"""Tests of the layout of packed sequences in chunks."""

from __future__ import annotations

from itertools import accumulate

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from librehps.kernels.selective_scan.torch_chunk_table import ChunkTable, chunk_table


def table(lengths: list[int], chunk_size: int) -> ChunkTable:
    return chunk_table([0, *accumulate(lengths)], chunk_size, torch.device("cpu"))


def test_steps_come_in_order_and_the_longest_sequences_first() -> None:
    made = table([1, 5, 3], 2)
    assert made.counts == (3, 2, 1)
    assert made.order.tolist() == [1, 2, 0]
    places = zip(made.rows.tolist(), made.real.tolist(), strict=True)
    tokens = [
        [row for row, real in zip(rows, reals, strict=True) if real] for rows, reals in places
    ]
    assert tokens == [[1, 2], [6, 7], [0], [3, 4], [8], [5]]
    # Places without a token repeat the last one of their own sequence.
    assert made.rows[2].tolist() == [0, 0]
    assert made.rows[5].tolist() == [5, 5]


def test_chunks_are_no_longer_than_the_longest_sequence() -> None:
    assert table([3, 2], 64).rows.shape == (2, 3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.sampled_from([1, 3, 16]))
def test_tokens_come_back_and_no_chunk_holds_two_sequences(
    lengths: list[int], chunk_size: int
) -> None:
    made, tokens = table(lengths, chunk_size), torch.arange(sum(lengths))
    assert torch.equal(made.scatter(made.gather(tokens)), tokens)
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    owners = made.gather(owner)
    assert (owners == owners[:, :1]).all()
    # The sequences of a step are the first ones in the order.
    for step in owners[:, 0].split(made.counts):
        assert torch.equal(step, made.order[: len(step)])
    masked = made.gather_masked(torch.ones(sum(lengths), 2))
    assert masked.sum() == 2 * sum(lengths)
    assert torch.equal(masked[..., 0].bool(), made.real)
