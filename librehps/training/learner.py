"""What learns in a run, and one update of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from librehps.data.loader import PairBatch, Position
from librehps.errors import ConfigError, InputError
from librehps.heads import scores_of_nothing
from librehps.hub import find_checkpoint
from librehps.losses import AxisLoss, build_loss
from librehps.model import PreferenceModel
from librehps.modeling import Qwen3_5Backbone
from librehps.training.adapters import add_adapters
from librehps.training.distribution import Distribution, Whole
from librehps.training.fsdp import Sharded, is_sharded
from librehps.training.keeping import without_weights
from librehps.training.objective import Objective
from librehps.training.optimizers import parameter_groups
from librehps.training.processes import Turn, mean
from librehps.training.recipe import Recipe
from librehps.training.schedule import rate_share
from librehps.training.sharding import whole_state
from librehps.training.snapshot import fingerprint
from librehps.training.zero import Zero, is_zero
from librehps.typing import Tensor

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["Learner", "Update"]


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
        self.distribution = choose_distribution(accelerator, recipe)
        self.model = PreferenceModel.from_pretrained(
            find_checkpoint(recipe.start),
            dtype=torch.float32,
            device=self.distribution.loading_device,
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
        self.distribution.lay_out(self.model)

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
        together = list(batches)
        labels = self._labels(together)
        for number, batch in enumerate(together, start=1):
            for turn in self.distribution.in_step(batch.parts()):
                with self.distribution.passing(last=turn.last and number == run.accumulate):
                    loss += self._learn_from(turn, labels, step=step)
            pairs += len(batch.keys)
            position = batch.after
        norm = self.distribution.step(share)
        if not norm < float("inf"):
            raise InputError(
                f"the gradient's norm is {norm} at step {step + 1}: "
                "lower the learning rate; the weights are those of the last snapshot",
                code="loss_not_finite",
            )
        return Update(loss, share, norm, pairs, position)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which the model computes in the recipe's precision."""
        if self._recipe.run.precision == "float32":
            return nullcontext()
        return torch.autocast(self.model.device.type, dtype=torch.bfloat16)

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
        if not any(self._recipe.axis_weights.get(axis, 1.0) for axis in self.model.axes):
            raise ConfigError(
                "axis_weights are 0 for every axis of the heads: nothing would learn",
                code="recipe_value",
            )

    def _labels(self, batches: Sequence[PairBatch]) -> dict[str, float]:
        """Return what the labels of an update weigh, by head, as the mean over the processes.

        Their gradients are averaged, too; so an update is the same however its pairs are spread
        over batches and processes.
        """
        heads = {name: head.axes for name, head in self.model.heads.items()}
        own = self.objective.labels(heads, batches)
        return {name: mean(self._accelerator, weight) for name, weight in own.items()}

    def _learn_from(
        self, turn: Turn[PairBatch], labels: Mapping[str, float], *, step: int
    ) -> float:
        """Add the gradient of a part of an update to the others; return its share of the loss.

        One that does not count is gone through for the sake of other processes, and adds nothing.
        """
        pairs = turn.item
        with self.autocast():
            outputs = self.distribution.forward(pairs.batch.to(device=self.model.device))
        values = self.objective.values(outputs, pairs)
        loss = self.objective.total(values, pairs, out_of=labels)
        if not bool(torch.isfinite(loss)):
            raise InputError(
                f"the loss is {float(loss.detach())} at step {step + 1}, on the pairs "
                f"{', '.join(pairs.keys[:4])} …: lower the learning rate, or look at these",
                code="loss_not_finite",
            )
        loss = loss * turn.counts
        self.distribution.backward(loss)
        return float(loss.detach())


def choose_distribution(accelerator: Accelerator, recipe: Recipe) -> Distribution:
    """Return the way of laying out a run that accelerate was asked for.

    Raises:
        ConfigError: It is not supported (code ``run_processes``), or the recipe cannot go that way.
    """
    if is_zero(accelerator):
        return Zero(accelerator, recipe)
    return (Sharded if is_sharded(accelerator) else Whole)(accelerator, recipe)
