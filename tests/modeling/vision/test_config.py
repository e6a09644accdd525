from __future__ import annotations

from librehps.modeling import PRESETS, Qwen3_5VisionConfig


def test_what_follows_from_the_published_sizes() -> None:
    vision = PRESETS["4b"].vision
    assert (vision.head_dim, vision.patch_dim, vision.position_grid_side) == (64, 1536, 48)
    assert vision.num_params() == 333_514_240
    assert PRESETS["9b"].vision.head_dim == 72


def test_it_survives_its_json_form() -> None:
    vision = PRESETS["27b"].vision
    assert Qwen3_5VisionConfig.from_hf(vision.to_hf()) == vision
