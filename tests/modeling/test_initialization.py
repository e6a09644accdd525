from __future__ import annotations

import pytest
import torch

from librehps.modeling import PRESETS, Qwen3_5Backbone


def fresh(seed: int) -> dict[str, torch.Tensor]:
    model = Qwen3_5Backbone(PRESETS["nano"])
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
