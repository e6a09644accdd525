"""Weights that are cut over several processes (FSDP2), block by block.

Each process holds its share of every tensor, of its gradient and of its moments. A block is put
together when it computes and cut again after it, so that the memory of a process is its share and
one block. Every forward and backward pass is then a meeting of all processes.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any, cast

from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

from librehps.errors import ConfigError
from librehps.model import PreferenceModel
from librehps.typing import Tensor

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["cut_like", "is_sharded", "shard", "whole", "whole_state"]


def is_sharded(accelerator: Accelerator) -> bool:
    """Return whether accelerate was asked to cut the weights over its processes.

    Raises:
        ConfigError: In a way that is not supported (code ``run_processes``).
    """
    from accelerate.utils import FullyShardedDataParallelPlugin, parse_flag_from_env

    if accelerator.distributed_type == "FSDP":
        plugin: Any = accelerator.state.fsdp_plugin
    elif accelerator.distributed_type == "MULTI_CPU" and parse_flag_from_env("ACCELERATE_USE_FSDP"):
        # accelerate passes over the wish where there is no GPU; torch can fulfil it.
        plugin = FullyShardedDataParallelPlugin()
    else:
        return False
    faults = {
        f"FSDP {plugin.fsdp_version}: set fsdp_version to 2": plugin.fsdp_version != 2,
        "FSDP with offloaded parameters: leave them on the devices": (
            type(plugin.cpu_offload).__name__ == "CPUOffloadPolicy"
        ),
        "FSDP with activation checkpointing: set run.gradient_checkpointing in the recipe": (
            plugin.activation_checkpointing
        ),
    }
    for fault, found in faults.items():
        if found:
            raise ConfigError(f"this release cannot train with {fault}", code="run_processes")
    return True


def shard(model: PreferenceModel, accelerator: Accelerator) -> None:
    """Cut a model's tensors over all processes, in place. All must call it.

    Args:
        model: A whole one, the same in every process; its tensors come to be on the device of the
            process, a block at a time.
        accelerator: The processes.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    backbone: Any = model.model
    for block in (*backbone.visual.blocks, *backbone.language_model.layers):
        fully_shard(block, mesh=mesh)
    # What is in no block: embeddings, merger, norms and heads.
    fully_shard(model, mesh=mesh)


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor; one that is cut is put together, and all processes must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def cut_like(tensor: Tensor, model: Tensor) -> Tensor:
    """Return this process's share of a whole tensor, cut as another one is; or all of it."""
    if not isinstance(model, DTensor):
        return tensor
    return distribute_tensor(
        tensor.to(model.device), model.device_mesh, model.placements, src_data_rank=None
    )


def whole_state(
    model: nn.Module, *, keep: bool, names: Container[str] | None = None
) -> dict[str, Tensor]:
    """Return tensors of a model by name, whole. All processes must call it.

    Args:
        model: Cut or not.
        keep: Whether this process needs them; if not, it has no more than one at a time, and
            returns nothing.
        names: Which of them, the same in every process; ``None`` for all.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in cast("dict[str, Tensor]", model.state_dict()).items():
        if names is not None and name not in names:
            continue
        full = whole(tensor)
        if keep:
            found[name] = full.cpu() if isinstance(tensor, DTensor) else full
    return found
