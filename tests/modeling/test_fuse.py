from __future__ import annotations

import pytest
import torch

from librehps.errors import InputError
from librehps.modeling.fuse import encode_vision, fuse_vision


def test_rows_fill_the_places_in_order_and_in_the_text_dtype() -> None:
    embeddings = torch.zeros(5, 2, dtype=torch.bfloat16)
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    places = torch.tensor([False, True, False, True, False])
    fused = fuse_vision(embeddings, rows, placeholders=places)
    assert fused.dtype == torch.bfloat16
    assert fused.tolist() == [[0, 0], [1, 2], [0, 0], [3, 4], [0, 0]]


def test_gradients_go_to_the_rows_and_to_the_other_tokens() -> None:
    embeddings = torch.zeros(3, 2, requires_grad=True)
    rows = torch.zeros(1, 2, requires_grad=True)
    fuse_vision(embeddings, rows, placeholders=torch.tensor([False, True, False])).sum().backward()
    assert embeddings.grad is not None
    assert embeddings.grad.tolist() == [[1, 1], [0, 0], [1, 1]]
    assert rows.grad is not None
    assert rows.grad.tolist() == [[1, 1]]


@pytest.mark.parametrize("num_rows", [0, 1, 3])
def test_a_mismatch_is_an_error_with_both_numbers(num_rows: int) -> None:
    places = torch.tensor([True, True, False])
    rows = torch.zeros(num_rows, 2) if num_rows else None
    with pytest.raises(InputError, match=f"2 places.*{num_rows} rows") as caught:
        fuse_vision(torch.zeros(3, 2), rows, placeholders=places)
    assert caught.value.code == "vision_token_mismatch"


def test_pictures_need_patches_and_grids() -> None:
    patches, grid = torch.zeros(4, 6), torch.tensor([[1, 2, 2]])
    none = torch.zeros(0, 3, dtype=torch.int64)

    def first_row(patches: torch.Tensor, grid_thw: torch.Tensor) -> torch.Tensor:
        return patches[:1]

    encoded = encode_vision(first_row, patches, grid)
    assert encoded is not None
    assert encoded.shape == (1, 6)
    assert encode_vision(first_row, None, None) is None
    assert encode_vision(first_row, None, none) is None
    assert encode_vision(first_row, patches[:0], none) is None
    for has_patches, has_grid in ((patches, None), (None, grid)):
        with pytest.raises(InputError, match="pictures need both") as caught:
            encode_vision(first_row, has_patches, has_grid)
        assert caught.value.code == "grid_mismatch"
