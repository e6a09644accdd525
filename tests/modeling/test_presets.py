from __future__ import annotations

import torch

from librehps.modeling import PRESETS
from librehps.modeling.rotary import COLUMN, ROW, multimodal_rotary


def test_every_published_size_is_there() -> None:
    assert list(PRESETS) == ["nano", "0.8b", "2b", "4b", "9b", "27b"]


def test_published_sizes_have_full_attention_in_every_fourth_layer() -> None:
    for name, config in PRESETS.items():
        if name != "nano":
            full = [i for i, kind in enumerate(config.text.layer_types) if kind[0] == "f"]
            assert full == list(range(3, config.text.num_hidden_layers, 4))


def test_nano_is_small_hybrid_and_like_the_others() -> None:
    nano = PRESETS["nano"]
    assert 1_000_000 < nano.num_params() < 2_000_000
    assert set(nano.text.layer_types) == {"linear_attention", "full_attention"}
    assert nano.vision.patch_size * nano.vision.spatial_merge_size == 32
    large = PRESETS["4b"]
    assert large.image_token_id - large.vision_end_token_id == 2
    assert nano.image_token_id - nano.vision_end_token_id == 2


def test_nano_can_tell_neighbours_in_its_grid_apart() -> None:
    nano = PRESETS["nano"].text
    positions = torch.zeros(3, 3, dtype=torch.long)
    positions[ROW, 1] = positions[COLUMN, 2] = 1  # the first token, one below it, one beside it
    cosines, _ = multimodal_rotary(positions, nano, dtype=torch.float64)
    largest_turn = cosines.acos().amax(-1)
    assert largest_turn[0] == 0.0
    assert largest_turn[1:].min() > 0.5
