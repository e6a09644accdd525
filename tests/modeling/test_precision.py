from __future__ import annotations

import pytest

from librehps.modeling.precision import keeps_float32


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("model.language_model.layers.0.linear_attn.A_log", True),
        ("language_model.layers.11.linear_attn.norm.weight", True),
        ("language_model.layers.0.linear_attn.dt_bias", False),
        ("model.language_model.layers.0.mamba2.A_log", True),
        ("language_model.layers.3.mamba2.dt_bias", True),
        ("language_model.layers.3.mamba2.D", True),
        ("language_model.layers.3.mamba2.norm.weight", True),
        ("language_model.layers.3.mamba2.in_proj.weight", False),
        ("language_model.layers.3.mamba2.conv1d.bias", False),
        ("language_model.layers.0.input_layernorm.weight", False),
        ("language_model.norm.weight", False),
        ("visual.merger.norm.weight", False),
    ],
)
def test_the_decays_and_the_gated_norms_stay_wide(name: str, kept: bool) -> None:
    assert keeps_float32(name) is kept
