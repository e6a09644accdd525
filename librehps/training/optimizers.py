"""Which parameters learn, how fast, and with which optimiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from librehps.errors import ConfigError
from librehps.training.recipe import PARTS, OptimizerRecipe

__all__ = ["ParameterGroup", "build_optimizers", "parameter_groups", "part_of", "set_rates"]


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that are treated alike.

    Args:
        name: Part, kind and whether they decay.
        parameters: Their names and themselves.
        matrices: Whether they are matrices of blocks, which Muon takes.
        decays: Whether weight decay applies.
        scale: Factor on the learning rate.
    """

    name: str
    parameters: tuple[tuple[str, nn.Parameter], ...]
    matrices: bool
    decays: bool
    scale: float


def part_of(name: str) -> str:
    """Return the part of `PARTS` that a parameter of a `PreferenceModel` belongs to."""
    if ".lora_A." in name or ".lora_B." in name:
        return "adapters"
    if not name.startswith("model."):
        return "heads"
    if name.startswith("model.visual.merger."):
        return "merger"
    if name.startswith("model.visual.patch_embed."):
        return "patches"
    return "vision" if name.startswith("model.visual.") else "backbone"


def _scale(recipe: OptimizerRecipe, name: str, *, adapted: bool) -> float:
    """Return the factor of a parameter; patches have that of the tower unless they have their own.

    Where the model has adapters, the rest of it rests unless the recipe names it.
    """
    part = part_of(name)
    if ".base_layer." in name:
        # Its adapter learns for it.
        return 0.0
    whole = 0.0 if adapted and part not in ("adapters", "heads") else 1.0
    if part == "patches":
        whole = recipe.scales.get("vision", whole)
    return recipe.scales.get(part, whole)


def parameter_groups(model: nn.Module, recipe: OptimizerRecipe) -> list[ParameterGroup]:
    """Sort the parameters of a model into groups; frozen ones are in none and need no gradient.

    Raises:
        ConfigError: Nothing is left to learn (code ``recipe_value``).
    """
    found: dict[tuple[str, bool, bool], list[tuple[str, nn.Parameter]]] = {}
    adapted = any(part_of(name) == "adapters" for name, _ in model.named_parameters())
    for name, parameter in model.named_parameters():
        part = part_of(name)
        learns = _scale(recipe, name, adapted=adapted) > 0.0
        parameter.requires_grad_(learns)
        if not learns:
            continue
        # The factors of an update are no matrices of the model: what Muon evens out is the update.
        in_block = part != "adapters" and (".layers." in name or ".blocks." in name)
        matrix = parameter.ndim == 2
        table = "embed" in name
        key = (part, matrix and in_block, matrix and not table)
        found.setdefault(key, []).append((name, parameter))
    if not found:
        raise ConfigError("every part is frozen: nothing would learn", code="recipe_value")
    return [
        ParameterGroup(
            name=f"{part}{'.matrices' if matrices else ''}{'' if decays else '.free'}",
            parameters=tuple(parameters),
            matrices=matrices,
            decays=decays,
            scale=_scale(recipe, parameters[0][0], adapted=adapted),
        )
        for (part, matrices, decays), parameters in sorted(
            found.items(), key=lambda item: (PARTS.index(item[0][0]), item[0][1:])
        )
    ]


def build_optimizers(model: nn.Module, recipe: OptimizerRecipe) -> dict[str, torch.optim.Optimizer]:
    """Return the optimisers by name; each of their groups has a ``full_rate``.

    References:
        Loshchilov and Hutter, "Decoupled weight decay regularization", 2019; Jordan et al., "Muon:
        an optimizer for hidden layers in neural networks", 2024; Liu et al., "Muon is scalable for
        LLM training", arXiv 2502.16982, for the size of its updates.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for group in parameter_groups(model, recipe):
        muon = recipe.kind == "muon" and group.matrices
        rate = recipe.matrix_learning_rate if muon else recipe.learning_rate
        groups.setdefault("muon" if muon else "adamw", []).append(
            {
                "params": [parameter for _, parameter in group.parameters],
                "lr": rate * group.scale,
                "full_rate": rate * group.scale,
                "weight_decay": recipe.weight_decay if group.decays else 0.0,
                "name": group.name,
            }
        )
    made: dict[str, torch.optim.Optimizer] = {}
    if "muon" in groups:
        made["muon"] = torch.optim.Muon(groups["muon"], adjust_lr_fn="match_rms_adamw")
    if "adamw" in groups:
        made["adamw"] = torch.optim.AdamW(groups["adamw"], betas=recipe.betas)
    return made


def set_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Set every group's learning rate to a share of its full one."""
    for group in optimizer.param_groups:
        group["lr"] = share * group["full_rate"]
