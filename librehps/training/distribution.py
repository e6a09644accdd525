"""How the weights of a run, their gradients and their moments lie on its processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import nn

from librehps.errors import ConfigError
from librehps.heads import HeadOutput
from librehps.model import PreferenceModel
from librehps.training.optimizers import build_optimizers, set_rates
from librehps.training.processes import Turn
from librehps.training.recipe import Recipe
from librehps.training.sharding import whole
from librehps.typing import Tensor

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["Distribution", "StatefulOptimizer", "Whole", "clip_and_step", "refuse_muon"]

T = TypeVar("T")


@runtime_checkable
class StatefulOptimizer(Protocol):
    """What is kept of an optimiser: torch's are such ones."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of parameters, each with its learning rate."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return its state by the number of the parameter."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go back to a state."""
        ...


@runtime_checkable
class Distribution(Protocol):
    """One way to lay out a run over its processes."""

    @property
    def loading_device(self) -> torch.device | str:
        """Where a model is loaded to, before it is laid out."""
        ...

    @property
    def optimizers(self) -> Mapping[str, StatefulOptimizer]:
        """The optimisers by name, after `lay_out`."""
        ...

    def lay_out(self, model: PreferenceModel) -> None:
        """Take a whole model, the same in every process, in which it is settled what learns."""
        ...

    def forward(self, batch: Any) -> Mapping[str, HeadOutput]:
        """Call the model, so that a backward pass is averaged over the processes."""
        ...

    def in_step(self, own: Iterable[T]) -> Iterator[Turn[T]]:
        """Go through things of this process that take a pass of the model each.

        Where all processes must take part in every pass, those with fewer repeat their last one.
        """
        ...

    def passing(self, *, last: bool) -> AbstractContextManager[Any]:
        """Return the context of a forward and backward pass, the last of an update or not."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Add a loss's gradient to what there is."""
        ...

    def step(self, share: float) -> float:
        """Clip the gradient, go one step along it, and forget it.

        Args:
            share: Of the full learning rates.

        Returns:
            Norm of the gradient of all processes before it was clipped; if it is not finite,
            nothing has changed.
        """
        ...


class Whole:
    """Each process has all of the weights: a single one, or several whose gradients are averaged.

    Args:
        accelerator: The processes.
        recipe: For the optimisers.
    """

    def __init__(self, accelerator: Accelerator, recipe: Recipe) -> None:
        self.loading_device: torch.device | str = accelerator.device
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {}
        self._accelerator = accelerator
        self._recipe = recipe

    def lay_out(self, model: PreferenceModel) -> None:
        """See `Distribution`."""
        self._model = model
        self.optimizers = build_optimizers(model, self._recipe.optimizer)
        self._shared: Callable[[Any], Any] = self._accelerator.prepare_model(model)

    def forward(self, batch: Any) -> Mapping[str, HeadOutput]:
        """See `Distribution`."""
        return self._shared(batch)

    def in_step(self, own: Iterable[T]) -> Iterator[Turn[T]]:
        """See `Distribution`; each process goes through its own alone."""
        items = iter(own)
        item = next(items, None)
        while item is not None:
            following = next(items, None)
            yield Turn(item, last=following is None)
            item = following

    def passing(self, *, last: bool) -> AbstractContextManager[Any]:
        """See `Distribution`; averaged is once for each update, whatever parts one has."""
        if last:
            return nullcontext()
        return self._accelerator.no_sync(cast("nn.Module", self._shared))

    def backward(self, loss: Tensor) -> None:
        """See `Distribution`."""
        self._accelerator.backward(loss)

    def step(self, share: float) -> float:
        """See `Distribution`."""
        limit = self._recipe.optimizer.clip
        return clip_and_step(self._model, self.optimizers, limit=limit, share=share)


def refuse_muon(recipe: Recipe, cutter: str) -> None:
    """Raise a `ConfigError` (code ``muon_sharded``) if a recipe wants Muon."""
    if recipe.optimizer.kind == "muon":
        raise ConfigError(
            f"muon needs whole matrices, and {cutter} cuts them: set optimizer.kind=adamw",
            code="muon_sharded",
        )


def clip_and_step(
    model: nn.Module,
    optimizers: Mapping[str, torch.optim.Optimizer],
    *,
    limit: float,
    share: float,
) -> float:
    """Do what `Distribution.step` says, with optimisers of torch.

    Args:
        model: Its parameters have gradients.
        optimizers: Which change them.
        limit: Of the gradient's norm; 0 for none.
        share: Of the full learning rates.
    """
    # Without a limit the norm is still worth writing down.
    norm = float(whole(torch.nn.utils.clip_grad_norm_(model.parameters(), limit or float("inf"))))
    if norm < float("inf"):
        for optimizer in optimizers.values():
            set_rates(optimizer, share)
            optimizer.step()
            optimizer.zero_grad()
    return norm
