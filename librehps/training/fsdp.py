"""Weights that are cut over several processes (FSDP2), block by block.

Each process holds its share of every tensor, of its gradient and of its moments. A block is put
together when it computes and cut again after it, so that the memory of a process is its share and
one block. Every forward and backward pass is then a meeting of all processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from librehps.errors import ConfigError
from librehps.heads import HeadOutput
from librehps.model import PreferenceModel
from librehps.training.distribution import clip_and_step, refuse_muon
from librehps.training.optimizers import build_optimizers
from librehps.training.processes import Turn, in_step
from librehps.training.recipe import Recipe
from librehps.typing import Tensor

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["Sharded", "is_sharded"]

T = TypeVar("T")


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


class Sharded:
    """FSDP2: weights, gradients and moments are cut. See `Distribution`.

    Args:
        accelerator: The processes.
        recipe: For the optimisers.

    Raises:
        ConfigError: The recipe wants Muon (code ``muon_sharded``).
    """

    def __init__(self, accelerator: Accelerator, recipe: Recipe) -> None:
        refuse_muon(recipe, "FSDP")
        # What is cut comes to the device block by block, and is never on it as a whole.
        self.loading_device: torch.device | str = "cpu"
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {}
        self._accelerator = accelerator
        self._recipe = recipe

    def lay_out(self, model: PreferenceModel) -> None:
        """See `Distribution`; the tensors come to be on the device of the process."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        self._model = model
        mesh = init_device_mesh(self._accelerator.device.type, (self._accelerator.num_processes,))
        backbone: Any = model.model
        for block in (*backbone.visual.blocks, *backbone.language_model.layers):
            fully_shard(block, mesh=mesh)
        # What is in no block: embeddings, merger, norms and heads.
        fully_shard(model, mesh=mesh)
        self.optimizers = build_optimizers(model, self._recipe.optimizer)

    def forward(self, batch: Any) -> Mapping[str, HeadOutput]:
        """See `Distribution`."""
        return self._model(batch)

    def in_step(self, own: Iterable[T]) -> Iterator[Turn[T]]:
        """See `Distribution`; a block is put together by all."""
        return in_step(self._accelerator, own)

    def passing(self, *, last: bool) -> AbstractContextManager[Any]:
        """See `Distribution`; gradients have no place but in their shares, and always go there."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """See `Distribution`."""
        self._accelerator.backward(loss)

    def step(self, share: float) -> float:
        """See `Distribution`."""
        limit = self._recipe.optimizer.clip
        return clip_and_step(self._model, self.optimizers, limit=limit, share=share)
