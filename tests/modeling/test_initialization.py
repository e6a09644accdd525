from __future__ import annotations

import math

import pytest
import torch

from librehps.modeling import PRESETS, Qwen3_5Backbone, Qwen3_5Config
from librehps.testing.tiny import tiny_config


def fresh(seed: int, config: Qwen3_5Config = PRESETS["nano"]) -> dict[str, torch.Tensor]:
    model = Qwen3_5Backbone(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))
    model.reset_parameters(torch.Generator().manual_seed(seed))
    return model.state_dict()


def test_the_seed_decides_every_weight() -> None:
    first, second, other = fresh(0), fresh(0), fresh(1)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.isfinite(tensor).all() for tensor in first.values())
    drawn = [name for name in first if not torch.equal(first[name], other[name])]
    assert "visual.pos_embed.weight" in drawn
    assert "language_model.layers.0.linear_attn.A_log" in drawn
    assert "language_model.layers.0.linear_attn.conv1d.weight" in drawn


def test_norms_start_as_the_identity_and_matrices_at_their_scale() -> None:
    weights = fresh(0)
    assert not weights["language_model.norm.weight"].any()
    assert (weights["language_model.layers.0.linear_attn.norm.weight"] == 1).all()
    assert (weights["visual.merger.norm.weight"] == 1).all()
    assert not weights["visual.merger.linear_fc1.bias"].any()
    for name in ("language_model.embed_tokens.weight", "visual.merger.linear_fc1.weight"):
        assert weights[name].std() == pytest.approx(0.05, rel=0.05)


def test_a_grey_patch_gets_no_more_than_the_bias_however_bright_it_is() -> None:
    weights = fresh(0)
    filters = weights["visual.patch_embed.proj.weight"].flatten(1)
    assert filters.std() * filters.shape[1] ** 0.5 == pytest.approx(1.0, rel=0.05)
    assert filters.sum(dim=1).abs().max() < 1e-4
    for name in ("visual.patch_embed.proj.bias", "visual.pos_embed.weight"):
        assert 0.2 < weights[name].std() < 0.4


def test_mamba2_starts_as_its_authors_start_it() -> None:
    config = tiny_config(layer_types=("mamba2",))
    first, second = fresh(0, config), fresh(0, config)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.isfinite(tensor).all() for tensor in first.values())
    own = {
        name.rpartition("mamba2.")[2]: tensor for name, tensor in first.items() if "mamba2." in name
    }
    assert (own["D"] == 1).all()
    assert (own["norm.weight"] == 1).all()
    assert 0 <= own["A_log"].min() < own["A_log"].max() <= math.log(16)
    step = torch.nn.functional.softplus(own["dt_bias"])
    assert 0.001 - 1e-6 <= step.min() < step.max() <= 0.1 + 1e-6
    # Four taps.
    for name in ("conv1d.weight", "conv1d.bias"):
        assert 0.4 < own[name].abs().max() <= 0.5
    assert own["in_proj.weight"].std() == pytest.approx(0.02, rel=0.05)
