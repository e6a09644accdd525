"""What learns in a run, and one update of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch

from librehps.data.loader import PairBatch, Position
from librehps.errors import ConfigError, InputError
from librehps.heads import scores_of_nothing
from librehps.losses import AxisLoss, build_loss
from librehps.model import PreferenceModel
from librehps.modeling import Qwen3_5Backbone
from librehps.training.adapters import add_adapters
from librehps.training.keeping import without_weights
from librehps.training.objective import Objective
from librehps.training.optimizers import build_optimizers, parameter_groups, set_rates
from librehps.training.processes import in_step
from librehps.training.recipe import Recipe
from librehps.training.schedule import rate_share
from librehps.training.sharding import is_sharded, shard, whole, whole_state
from librehps.training.snapshot import fingerprint
from librehps.typing import Tensor

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["Learner", "Update"]

T = TypeVar("T")


@dataclass(frozen=True)
class Update:
    """What one update was.

    Args:
        loss: This process's share of the loss, in nats.
        rate_share: The learning rate, in shares of the full one.
        gradient_norm: Norm of the whole gradient before it was clipped.
        pairs: Pairs of this process.
        position: Where the loader goes on.
    """

    loss: float
    rate_share: float
    gradient_norm: float
    pairs: int
    position: Position


class Learner:
    """A model with its loss and its optimisers.

    Args:
        recipe: Where the weights start, and how they follow their gradients.
        accelerator: The processes that learn together.

    Raises:
        BackendError: LoRA without peft (code ``peft_missing``).
        CheckpointError: The start cannot be loaded; see `PreferenceModel.from_pretrained`.
        ConfigError: The recipe asks for what cannot be.
    """

    def __init__(self, recipe: Recipe, accelerator: Accelerator) -> None:
        self._recipe = recipe
        self._accelerator = accelerator
        self._sharded = is_sharded(accelerator)
        if self._sharded and recipe.optimizer.kind == "muon":
            raise ConfigError(
                "muon needs whole matrices, and FSDP cuts them: set optimizer.kind=adamw",
                code="muon_sharded",
            )
        self.model = PreferenceModel.from_pretrained(
            Path(recipe.start),
            dtype=torch.float32,
            # What is cut comes to the device block by block, and is never on it as a whole.
            device="cpu" if self._sharded else accelerator.device,
        )
        # What is mapped from the checkpoint's file must not be written to.
        for parameter in self.model.parameters():
            parameter.data = parameter.data.clone()
        #: The model as it is saved, without weights.
        self.plain = without_weights(self.model)
        if recipe.lora is not None:
            add_adapters(self.model.model, recipe.lora)
        if recipe.run.gradient_checkpointing:
            cast("Qwen3_5Backbone", self.model.model).gradient_checkpointing = True
        self.objective = Objective(
            AxisLoss(build_loss(recipe.loss), weights=dict(recipe.axis_weights))
        )
        self._check_objective()
        # Settles what learns, while every tensor is whole.
        parameter_groups(self.model, recipe.optimizer)
        #: The `fingerprint` of the weights that do not learn, as the start has them.
        self.frozen = fingerprint(self.model)
        # The same weights; its backward pass averages the gradients over the processes.
        self._shared = self.model
        if self._sharded:
            shard(self.model, accelerator)
        self.optimizers = build_optimizers(self.model, recipe.optimizer)
        if not self._sharded:
            self._shared = cast("PreferenceModel", accelerator.prepare_model(self.model))

    def update(self, batches: Iterable[PairBatch], *, step: int) -> Update:
        """Do one update of the weights.

        Args:
            batches: As many as the recipe accumulates.
            step: Updates that are done.

        Raises:
            InputError: The loss or its gradient is not finite (code ``loss_not_finite``); the
                weights have not changed then.
        """
        run = self._recipe.run
        share = rate_share(self._recipe.schedule, step=step, steps=run.steps)
        # What a step draws at random, such as dropout, is a function of its number: a run that is
        # resumed draws it again.
        processes = self._accelerator.num_processes
        place = (run.seed * 1_000_003 + step) * processes + self._accelerator.process_index
        torch.manual_seed(place % 2**63)
        self.model.train()
        loss, pairs, position = 0.0, 0, Position()
        for number, batch in enumerate(batches, start=1):
            parts = batch.parts()
            for part, counts in self.in_step(parts):
                last = number == run.accumulate and part is parts[-1]
                with self._averaging(last):
                    loss += self._learn_from(part, batch, step=step, counts=counts)
            pairs += len(batch.keys)
            position = batch.after
        norm = self._clipped()
        if not norm < float("inf"):
            raise InputError(
                f"the gradient's norm is {norm} at step {step + 1}: "
                "lower the learning rate; the weights are those of the last snapshot",
                code="loss_not_finite",
            )
        for optimizer in self.optimizers.values():
            set_rates(optimizer, share)
            optimizer.step()
            optimizer.zero_grad()
        return Update(loss, share, norm, pairs, position)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which the model computes in the recipe's precision."""
        if self._recipe.run.precision == "float32":
            return nullcontext()
        return torch.autocast(self.model.device.type, dtype=torch.bfloat16)

    def in_step(self, own: Iterable[T]) -> Iterator[tuple[T, bool]]:
        """Go through things of this process that each take a forward pass of the model.

        Yields:
            Each with True. Where the processes must meet in every pass, the last one is then
            repeated with False, for as long as another process has some of its own.
        """
        if self._sharded:
            return in_step(self._accelerator, own)
        return ((one, True) for one in own)

    def state(self, *, keep: bool) -> dict[str, Tensor]:
        """Return the model's tensors by name, whole; see `whole_state`. All must call it."""
        return whole_state(self.model, keep=keep)

    def _check_objective(self) -> None:
        """Try the heads on nothing: what does not fit the loss is known before data is read."""
        outputs = scores_of_nothing(
            self.model.heads,
            hidden_size=cast("Qwen3_5Backbone", self.model.model).hidden_size,
            device=self.model.device,
        )
        self.objective.check(self.model.heads, outputs)

    def _averaging(self, last: bool) -> AbstractContextManager[Any]:
        """Return the context of a backward pass, which averages over the processes or does not."""
        # Gradients of whole models are averaged once for each update; so it does not matter that
        # one process may have more parts than another. Those that are cut have no place but in
        # their shares, and are averaged each time.
        if last or self._sharded:
            return nullcontext()
        return self._accelerator.no_sync(self._shared)

    def _learn_from(self, pairs: PairBatch, of: PairBatch, *, step: int, counts: bool) -> float:
        """Add the gradient of a part of a batch to the others; return its share of the loss.

        One that does not count is gone through for the sake of other processes, and adds nothing.
        """
        with self.autocast():
            outputs = self._shared(pairs.batch.to(device=self.model.device))
        values = self.objective.values(outputs, pairs)
        loss = self.objective.total(values, pairs, whole=of)
        if not bool(torch.isfinite(loss)):
            raise InputError(
                f"the loss is {float(loss.detach())} at step {step + 1}, on the pairs "
                f"{', '.join(pairs.keys[:4])} …: lower the learning rate, or look at these",
                code="loss_not_finite",
            )
        loss = loss * counts / self._recipe.run.accumulate
        self._accelerator.backward(loss)
        return float(loss.detach())

    def _clipped(self) -> float:
        """Clip the gradient and return what its norm was."""
        # Without a limit the norm is still worth writing down.
        limit = self._recipe.optimizer.clip or float("inf")
        return float(whole(torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)))
