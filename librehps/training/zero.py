"""Gradients and moments that are cut over several processes, by DeepSpeed (ZeRO, stages 1 and 2).

Each process holds all weights, and of the moments, and in stage 2 of the gradients, its share: a
piece of one long vector into which DeepSpeed lays all parameters of a group. What cuts weights too
is FSDP 2.

References:
    Rajbhandari et al., "ZeRO: memory optimizations toward training trillion parameter models",
    2020.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import nn

from librehps.errors import ConfigError
from librehps.heads import HeadOutput
from librehps.model import PreferenceModel
from librehps.training.distribution import StatefulOptimizer, refuse_muon
from librehps.training.optimizers import build_optimizers, set_rates
from librehps.training.processes import Turn, in_step
from librehps.training.recipe import Recipe
from librehps.typing import Tensor

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["Zero", "ZeroOptimizer", "is_zero", "zero_settings"]

T = TypeVar("T")

# What a DeepSpeed configuration may say that no recipe does.
_PASSED_ON = ("zero_optimization", "wall_clock_breakdown", "comms_logger")
# What accelerate writes there by itself.
_UNTOLD = ("auto", None, False, "none")


def is_zero(accelerator: Accelerator) -> bool:
    """Return whether accelerate was asked to train with DeepSpeed on several processes."""
    from accelerate.utils import parse_flag_from_env

    if accelerator.distributed_type == "DEEPSPEED":
        return True
    # accelerate passes over the wish where there is no GPU; DeepSpeed can fulfil it.
    wanted = parse_flag_from_env("ACCELERATE_USE_DEEPSPEED")
    return accelerator.distributed_type == "MULTI_CPU" and wanted


def zero_settings(told: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Return what DeepSpeed is to be told, from what accelerate was and from the recipe.

    Args:
        told: A DeepSpeed configuration.
        recipe: It decides on all but the cutting.

    Raises:
        ConfigError: Another stage than 1 or 2, offloading, or something that the recipe decides
            otherwise (code ``run_processes``).
    """
    run, optimizer = recipe.run, recipe.optimizer
    zero: dict[str, Any] = dict(told.get("zero_optimization", {}))
    if zero.get("stage") not in (1, 2):
        raise ConfigError(
            f"this release trains with stages 1 and 2 of DeepSpeed, not {zero.get('stage')}: "
            "stage 0 cuts nothing, and what cuts the weights too is FSDP 2",
            code="run_processes",
        )
    for part in ("offload_optimizer", "offload_param"):
        if (zero.pop(part, None) or {}).get("device") not in _UNTOLD:
            raise ConfigError(
                f"this release cannot train with DeepSpeed's {part}: leave it on the devices",
                code="run_processes",
            )
    decided: dict[str, Any] = {
        "gradient_clipping": optimizer.clip,
        "gradient_accumulation_steps": run.accumulate,
        "train_micro_batch_size_per_gpu": run.batch_pairs,
    }
    for key, value in told.items():
        if key in (*_PASSED_ON, "steps_per_print") or value in _UNTOLD:
            continue
        if isinstance(value, Mapping) and value.get("enabled", value) in _UNTOLD:
            continue
        if key in decided and value == decided[key]:
            continue
        raise ConfigError(
            f"the DeepSpeed configuration sets {key} to {value}, on which the recipe decides"
            f"{f' ({decided[key]})' if key in decided else ''}: leave it out or say auto",
            code="run_processes",
        )
    return {
        **{key: told[key] for key in _PASSED_ON if key in told},
        "zero_optimization": zero,
        # How many pairs there are in a pass, and how many passes in an update, it need not know.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": optimizer.clip,
        "steps_per_print": 2**31,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        # Weights and gradients stay in float32.
        "torch_autocast": {
            "enabled": run.precision == "bfloat16",
            "dtype": "bfloat16",
            "lower_precision_safe_modules": [],
        },
    }


class Zero:
    """ZeRO: gradients and moments are cut. See `Distribution`.

    A parameter without a gradient has one of zero, so that it decays, unlike elsewhere.

    Args:
        accelerator: The processes.
        recipe: For the optimisers.

    Raises:
        ConfigError: The recipe wants Muon (code ``muon_sharded``), or see `zero_settings`.
    """

    def __init__(self, accelerator: Accelerator, recipe: Recipe) -> None:
        from accelerate.utils import DeepSpeedPlugin

        refuse_muon(recipe, "DeepSpeed")
        self.loading_device: torch.device | str = accelerator.device
        self.optimizers: Mapping[str, StatefulOptimizer] = {}
        self._accelerator = accelerator
        self._recipe = recipe
        plugin: Any = accelerator.state.deepspeed_plugin or DeepSpeedPlugin()
        self._settings = zero_settings(plugin.deepspeed_config, recipe)

    def lay_out(self, model: PreferenceModel) -> None:
        """See `Distribution`.

        Raises:
            ConfigError: DeepSpeed computes on another kind of device (code ``run_processes``).
        """
        import deepspeed
        from deepspeed.accelerator import get_accelerator

        backend: Any = get_accelerator()
        own, theirs = self._accelerator.device.type, backend.device_name()
        if own != theirs:
            raise ConfigError(
                f"DeepSpeed computes on {theirs} and this run on {own}: set DS_ACCELERATOR={own}",
                code="run_processes",
            )
        deepspeed.init_distributed(
            dist_backend=torch.distributed.get_backend(), auto_mpi_discovery=False
        )
        (optimizer,) = build_optimizers(model, self._recipe.optimizer).values()
        groups = [list(group["params"]) for group in optimizer.param_groups]
        self._engine: Any = deepspeed.initialize(
            model=model, optimizer=cast("Any", optimizer), config=self._settings
        )[0]
        self._zero = ZeroOptimizer(optimizer, groups, self._engine.optimizer)
        self.optimizers = {"adamw": self._zero}

    def forward(self, batch: Any) -> Mapping[str, HeadOutput]:
        """See `Distribution`."""
        return self._engine(batch)

    def in_step(self, own: Iterable[T]) -> Iterator[Turn[T]]:
        """See `Distribution`; each share of a gradient is summed as soon as it is known."""
        return in_step(self._accelerator, own)

    def passing(self, *, last: bool) -> AbstractContextManager[Any]:
        """See `Distribution`."""
        self._engine.set_gradient_accumulation_boundary(last)
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """See `Distribution`."""
        self._engine.backward(loss)

    def step(self, share: float) -> float:
        """See `Distribution`."""
        set_rates(self._zero.inner, share)
        self._engine.step()
        return float(self._engine.get_global_grad_norm())


class ZeroOptimizer:
    """An optimiser of long vectors, of which this process has pieces, seen by parameter.

    Args:
        inner: The optimiser, to which DeepSpeed has given pieces instead of parameters.
        groups: Those that it had, by group.
        zero: DeepSpeed's optimiser, which looks after the pieces.
    """

    def __init__(
        self, inner: torch.optim.Optimizer, groups: list[list[nn.Parameter]], zero: Any
    ) -> None:
        self.inner = inner
        self._groups = groups
        self._zero = zero

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups with their pieces."""
        return self.inner.param_groups

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every parameter, whole. All processes must call it."""
        state: dict[int, dict[str, Any]] = {}
        for number, (parameter, piece) in enumerate(self._pieces()):
            of_piece = self.inner.state.get(piece)
            if of_piece:
                state[number] = {
                    key: _whole(parameter, value) if value.ndim else value.clone()
                    for key, value in of_piece.items()
                }
        return {"state": state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go back to a state; the model has its weights of then."""
        # DeepSpeed has a copy of the weights of its piece.
        self._zero.refresh_fp32_params()
        for number, (parameter, piece) in enumerate(self._pieces()):
            here = self.inner.state[piece]
            for key, value in state_dict["state"].get(number, {}).items():
                if not value.ndim:
                    here[key] = value.clone()
                    continue
                if value.shape != parameter.shape:
                    raise ValueError(f"{list(value.shape)} for {list(parameter.shape)}")
                if key not in here:
                    here[key] = torch.zeros_like(piece)
                _put(parameter, value, here[key])

    def _pieces(self) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
        """Yield each parameter with this process's piece of the vector of its group."""
        for parameters, group in zip(self._groups, self.inner.param_groups, strict=True):
            (piece,) = group["params"]
            for parameter in parameters:
                yield parameter, piece


def _whole(parameter: nn.Parameter, piece: Tensor) -> Tensor:
    """Put together what all processes have of a moment of a parameter."""
    full = torch.zeros(parameter.numel(), dtype=piece.dtype, device=piece.device)
    for there, here in _fragment(parameter):
        full[there] = piece[here]
    torch.distributed.all_reduce(full)
    return full.view_as(parameter)


def _put(parameter: nn.Parameter, value: Tensor, piece: Tensor) -> None:
    """Put this process's share of a moment of a parameter in its place."""
    for there, here in _fragment(parameter):
        piece[here] = value.flatten()[there].to(piece)


def _fragment(parameter: nn.Parameter) -> Iterator[tuple[slice, slice]]:
    """Yield what this process has of a flat parameter, and where in its piece, if it has any."""
    mapping: Any = cast("Any", parameter)._hp_mapping
    if mapping is not None:
        there, here = mapping.lp_fragment_address, mapping.hp_fragment_address
        yield (
            slice(there.start, there.start + there.numel),
            slice(here.start, here.start + here.numel),
        )
