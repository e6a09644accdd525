"""Tests of the cutting of packs into spans, against loops over plain numbers."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from librehps.kernels.gated_delta_rule.spans import cut, slots, whole_sequences

packs = st.lists(st.integers(1, 70), min_size=1, max_size=12)


def boundaries(lengths: list[int]) -> torch.Tensor:
    return torch.tensor([0, *lengths]).cumsum(0)


@given(lengths=packs, size=st.sampled_from([1, 2, 16, 64]))
def test_every_sequence_is_cut_from_its_first_token(lengths: list[int], size: int) -> None:
    bounds = boundaries(lengths)
    spans = cut(bounds, size, tokens=sum(lengths))
    assert len(spans) == sum(lengths) // size + len(lengths)
    found = [
        (low, high)
        for low, high in zip(spans.starts.tolist(), spans.ends.tolist(), strict=True)
        if low != high
    ]
    assert found == [
        (start, min(start + size, end))
        for low, end in pairwise(bounds.tolist())
        for start in range(low, end, size)
    ]


@given(lengths=packs, size=st.sampled_from([1, 2, 16, 64]))
def test_slots_are_where_the_cut_puts_a_span(lengths: list[int], size: int) -> None:
    bounds = boundaries(lengths)
    spans = cut(bounds, size, tokens=sum(lengths))
    real = (spans.starts < spans.ends).nonzero().flatten()
    assert torch.equal(slots(spans.starts[real], bounds, size), real)
    # Larger spans find the first of the smaller ones that they are made of.
    large = cut(bounds, 4 * size, tokens=sum(lengths))
    taken = slots(large.starts, bounds, size)[large.starts < large.ends]
    assert spans.starts[taken].tolist() == large.starts[large.starts < large.ends].tolist()


def test_whole_sequences_begin_and_end_at_the_boundaries() -> None:
    spans = whole_sequences(boundaries([3, 5]))
    assert (spans.starts.tolist(), spans.ends.tolist(), len(spans)) == ([0, 3], [3, 8], 2)
