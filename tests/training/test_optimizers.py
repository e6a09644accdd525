from __future__ import annotations

import pytest
import torch

from librehps.errors import ConfigError
from librehps.testing.tiny import tiny_model
from librehps.training.optimizers import (
    build_optimizers,
    parameter_groups,
    part_of,
    set_rates,
)
from librehps.training.recipe import OptimizerRecipe


def test_every_parameter_is_in_one_group_and_only_matrices_decay() -> None:
    model = tiny_model()
    groups = parameter_groups(model, OptimizerRecipe(scales={"heads": 3.0}))
    names = [name for group in groups for name, _ in group.parameters]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    for group in groups:
        for name, parameter in group.parameters:
            assert group.name.startswith(part_of(name))
            assert group.decays <= (parameter.ndim == 2)
            assert not (group.decays and "embed_tokens" in name)
            assert group.scale == (3.0 if part_of(name) == "heads" else 1.0)


def test_parts_are_those_of_the_names() -> None:
    assert part_of("model.visual.merger.norm.weight") == "merger"
    assert part_of("model.visual.patch_embed.proj.weight") == "patches"
    assert part_of("model.visual.blocks.0.attn.qkv.weight") == "vision"
    assert part_of("model.language_model.norm.weight") == "backbone"
    assert part_of("multi_axis_head.weight") == "heads"


def test_a_frozen_part_gets_no_gradient_and_all_frozen_is_refused() -> None:
    model = tiny_model()
    parameter_groups(model, OptimizerRecipe(scales={"vision": 0.0, "backbone": 0.0}))
    learning = {part_of(name) for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {"merger", "heads"}
    parameter_groups(model, OptimizerRecipe(scales={"vision": 0.0, "patches": 0.1}))
    learning = {part_of(name) for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {"patches", "merger", "backbone", "heads"}
    everything = dict.fromkeys(("vision", "merger", "backbone", "heads"), 0.0)
    with pytest.raises(ConfigError, match="nothing would learn"):
        parameter_groups(model, OptimizerRecipe(scales=everything))


def test_muon_takes_the_matrices_of_blocks() -> None:
    model = tiny_model()
    made = build_optimizers(model, OptimizerRecipe(kind="muon", learning_rate=0.1))
    blocks = {
        id(parameter)
        for name, parameter in model.named_parameters()
        if parameter.ndim == 2 and (".layers." in name or ".blocks." in name)
    }
    taken = {id(p) for group in made["muon"].param_groups for p in group["params"]}
    assert taken == blocks
    set_rates(made["adamw"], 0.5)
    assert {group["lr"] for group in made["adamw"].param_groups} == {0.05}
    set_rates(made["adamw"], 1.0)
    assert {group["lr"] for group in made["adamw"].param_groups} == {0.1}
    assert isinstance(made["adamw"], torch.optim.AdamW)
