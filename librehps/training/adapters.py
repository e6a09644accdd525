"""LoRA: low-rank updates of a backbone's linear layers, learned through peft.

An adapted layer computes ``W x + (alpha / rank) B A x`` with a frozen ``W``. ``B`` begins at zero,
so the model begins as it was. What is saved to score with has ``W + (alpha / rank) B A`` in the
place of ``W``: it is a plain checkpoint, and nobody who loads it needs peft.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from librehps.errors import BackendError, ConfigError
from librehps.registry import nearest
from librehps.training.optimizers import part_of
from librehps.training.recipe import LoraRecipe
from librehps.training.snapshot import write_tensors
from librehps.typing import Tensor

__all__ = ["add_adapters", "merge_adapters", "write_adapters"]

# peft's own name for an adapter that has none.
_NAME = "default"


def add_adapters(backbone: nn.Module, recipe: LoraRecipe) -> None:
    """Put an adapter on every linear layer that the recipe names; ``A`` is drawn at random.

    Args:
        backbone: Changed in place: such a layer becomes peft's, with the old one inside.
        recipe: Rank and size of the updates, and where they are.

    Raises:
        BackendError: peft is not installed (code ``peft_missing``).
        ConfigError: No linear layer has a name that is asked for (code ``lora_target``).
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ModuleNotFoundError as error:
        raise BackendError(
            "lora needs the package peft: pip install 'librehps[train]'", code="peft_missing"
        ) from error
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,  # pyright: ignore[reportArgumentType] any number will do
        lora_dropout=recipe.dropout,
        target_modules=_layers(backbone, recipe.targets),
    )
    inject_adapter_in_model(config, backbone, adapter_name=_NAME)


def merge_adapters(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a model as if it had never had adapters: updates are added to weights.

    Args:
        model: Knows how large the updates count; its own tensors are not looked at.
        state: All of its tensors by name, whole. Without adapters they come back as they are.
    """
    merged: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if part_of(name) == "adapters":
            continue
        layer, base, leaf = name.rpartition(".base_layer.")
        if not base:
            merged[name] = tensor
        elif leaf != "weight":
            merged[f"{layer}.{leaf}"] = tensor
        else:
            down = state[f"{layer}.lora_A.{_NAME}.weight"]
            up = state[f"{layer}.lora_B.{_NAME}.weight"]
            adapted: Any = model.get_submodule(layer)
            merged[f"{layer}.weight"] = tensor + adapted.scaling[_NAME] * (up @ down)
    return merged


def write_adapters(backbone: nn.Module, state: Mapping[str, Tensor], folder: Path) -> None:
    """Write the adapters alone, as peft does; ``PeftModel.from_pretrained`` reads them.

    The names are those of `Qwen3_5Backbone`, and of transformers' ``Qwen3_5Model``: the adapters go
    onto either. The heads are not among them.

    Args:
        backbone: What `add_adapters` changed.
        state: The backbone's tensors by name, whole.
        folder: Replaced if it is there; it is there whole or not at all.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tensors = {
        f"base_model.model.{name.replace(f'.{_NAME}.', '.')}": tensor.detach().cpu().contiguous()
        for name, tensor in state.items()
        if part_of(name) == "adapters"
    }
    write_tensors(tensors, part / "adapter_model.safetensors", metadata={"format": "pt"})
    configs: Any = backbone.peft_config
    configs[_NAME].save_pretrained(str(part))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def _layers(backbone: nn.Module, targets: tuple[str, ...]) -> list[str]:
    """Return the names of the linear layers that are asked for by part or by the name's end."""
    linear = [name for name, part in backbone.named_modules() if isinstance(part, nn.Linear)]
    found: set[str] = set()
    for target in targets:
        of_target = {
            name
            for name in linear
            if f".{name}".endswith(f".{target}") or part_of(f"model.{name}.weight") == target
        }
        if not of_target:
            known = ["backbone", "vision", "merger", *sorted({n.split(".")[-1] for n in linear})]
            raise ConfigError(
                f"lora.targets names {target!r}, and no linear layer is called that"
                f"{nearest(target, known)}",
                code="lora_target",
            )
        found |= of_target
    # In the order of the model, whatever that of the recipe: A is drawn at random.
    return [name for name in linear if name in found]
