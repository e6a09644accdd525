"""Tests of where the chunks of a pack are."""

from __future__ import annotations

from itertools import accumulate, pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from librehps.kernels.selective_scan.triton_chunks import chunk_slots


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=6), st.sampled_from([16, 32]))
def test_slots_hold_the_chunks_of_every_sequence_in_order(lengths: list[int], size: int) -> None:
    bounds = [0, *accumulate(lengths)]
    slots = chunk_slots(torch.tensor(bounds, dtype=torch.int32), size, tokens=bounds[-1]).tolist()
    assert len(slots) == bounds[-1] // size + len(lengths)
    for sequence, (start, end) in enumerate(pairwise(bounds)):
        first = start // size + sequence
        for number, token in enumerate(range(start, end, size)):
            assert slots[first + number] == [token, min(token + size, end)]
    # What is left over is empty: nobody's tokens are taken twice.
    assert sum(end - start for start, end in slots) == bounds[-1]


def test_slots_are_found_without_a_look_at_the_boundaries() -> None:
    bounds = torch.empty(5, dtype=torch.int64, device="meta")
    assert chunk_slots(bounds, 64, tokens=1000).shape == (19, 2)
