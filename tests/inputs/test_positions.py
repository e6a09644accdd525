"""Positions against a walk that is written token by token, and their structure."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from librehps.errors import InputError
from librehps.inputs.positions import ImageRun, TextRun, rope_positions

runs = st.lists(
    st.one_of(
        st.integers(0, 7).map(TextRun),
        st.tuples(st.integers(1, 6), st.integers(1, 6)).map(
            lambda sides: ImageRun(2 * sides[0], 2 * sides[1])
        ),
    ),
    max_size=6,
)


def walk(sequence: list[TextRun | ImageRun]) -> list[tuple[int, int, int]]:
    counter, tokens = 0, []
    for run in sequence:
        if isinstance(run, TextRun):
            for _ in range(run.num_tokens):
                tokens.append((counter, counter, counter))
                counter += 1
        else:
            for row in range(run.height // 2):
                for column in range(run.width // 2):
                    tokens.append((counter, counter + row, counter + column))
            counter += max(run.height // 2, run.width // 2)
    return tokens


@given(runs)
def test_equals_a_walk_token_by_token(sequence):
    positions = rope_positions(sequence)
    assert positions.dtype == torch.int64
    assert positions.T.tolist() == [list(token) for token in walk(sequence)]


def test_an_image_between_texts():
    positions = rope_positions([TextRun(2), ImageRun(4, 6), TextRun(1)])
    assert positions.tolist() == [
        [0, 1, 2, 2, 2, 2, 2, 2, 5],
        [0, 1, 2, 2, 2, 3, 3, 3, 5],
        [0, 1, 2, 3, 4, 2, 3, 4, 5],
    ]


def test_merge_size_is_honoured():
    assert rope_positions([ImageRun(6, 3)], merge_size=3).tolist() == [[0, 0], [0, 1], [0, 0]]
    assert ImageRun(6, 3).num_tokens(merge_size=3) == 2


@pytest.mark.parametrize("grid", [(3, 4), (4, 3), (0, 2), (2, 0), (-2, 2)])
def test_a_grid_that_does_not_divide_is_refused(grid):
    with pytest.raises(InputError) as caught:
        rope_positions([ImageRun(*grid)])
    assert caught.value.code == "positions_grid"
    assert f"{grid[0]}x{grid[1]}" in str(caught.value)


def test_negative_text_is_refused():
    with pytest.raises(InputError) as caught:
        TextRun(-1)
    assert caught.value.code == "positions_text"
