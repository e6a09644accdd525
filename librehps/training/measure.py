"""How good a model is on comparisons that it does not learn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch.nn import functional as F

from librehps.calibration import preference_probability
from librehps.data.loader import PairBatch, PairLoader
from librehps.errors import InputError
from librehps.heads import HeadOutput
from librehps.model import PreferenceModel
from librehps.results import AxisScore
from librehps.training.objective import Objective, pair_scores
from librehps.training.processes import Turn
from librehps.typing import Tensor

__all__ = ["AxisMeasure", "Measure", "Observations", "measure"]


_Part = tuple[PairBatch, PairBatch]


@dataclass(frozen=True)
class AxisMeasure:
    """One axis.

    Args:
        pairs: Pairs with a label.
        decided: Those whose label is not a tie.
        accuracy: Share of the decided pairs whose preferred image scores higher; equal scores count
            half. NaN without any.
        brier: Mean squared difference of predicted and voted share, over all pairs. NaN without.
        bernoulli: Mean ``-y log p - (1 - y) log(1 - p)`` in nats, over all pairs. NaN without.
    """

    pairs: int
    decided: int
    accuracy: float
    brier: float
    bernoulli: float


@dataclass(frozen=True)
class Measure:
    """A model on a set of comparisons.

    Args:
        loss: The training objective, averaged over batches by their pairs.
        axes: What was found on each axis.
    """

    loss: float
    axes: dict[str, AxisMeasure]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data; what is not defined is ``None``."""
        axes = {
            axis: {name: _finite(value) for name, value in asdict(found).items()}
            for axis, found in self.axes.items()
        }
        return {"loss": _finite(self.loss), "axes": axes}


@dataclass(frozen=True)
class Observations:
    """What one process saw, before the processes' parts are put together.

    Args:
        losses: The objective on each part of a batch, times the pairs of that batch.
        counts: Pairs in each part.
        rows: By axis, a tensor per part with a row per labelled pair: difference of the means,
            stated probability of ``a``, and target; float64, on the CPU.
    """

    losses: list[float] = field(default_factory=list[float])
    counts: list[int] = field(default_factory=list[int])
    rows: dict[str, list[Tensor]] = field(default_factory=dict[str, list[Tensor]])


def measure(
    model: PreferenceModel,
    loader: PairLoader,
    objective: Objective,
    *,
    advance: Callable[[int], None] = lambda count: None,
    gather: Callable[[Observations], list[Observations]] = lambda own: [own],
    in_step: Callable[[Iterable[_Part]], Iterable[Turn[_Part]]] = lambda own: map(Turn, own),
) -> Measure:
    """Score all comparisons of a loader and compare with what people said.

    The mode of the model is restored afterwards.

    Args:
        model: What is measured.
        loader: The comparisons; neither shuffled nor swapped, so that the result is repeatable.
        objective: For the loss.
        advance: Called with the number of parts of batches done since the last call.
        in_step: Repeats a part, which then does not count, where another process has more of them
            and a forward pass takes all of them.
        gather: Returns what all processes found whose loaders share the comparisons.

    Raises:
        InputError: No comparison could be used (code ``loader_empty``).
    """
    training = model.training
    model.eval()
    found = Observations()
    with torch.inference_mode():
        for turn in in_step(_parts(loader)):
            pairs, whole = turn.item
            outputs = model(pairs.batch.to(device=model.device, dtype=model.dtype))
            if not turn.counts:
                continue
            scored = {name: output.axes for name, output in outputs.items()}
            labels = objective.labels(scored, [whole])
            loss = float(objective.total(objective.values(outputs, pairs), pairs, out_of=labels))
            found.losses.append(loss * len(whole.keys))
            found.counts.append(len(pairs.keys))
            for output in outputs.values():
                for axis in output.axes:
                    target = pairs.target[:, pairs.axes.index(axis)]
                    found.rows.setdefault(axis, []).append(_rows(output, axis, target))
            advance(1)
    model.train(training)
    every = gather(found)
    counts = [count for one in every for count in one.counts]
    if not counts:
        raise InputError("no comparison could be measured", code="loader_empty")
    losses = [loss for one in every for loss in one.losses]
    rows: dict[str, list[Tensor]] = {}
    for one in every:
        for axis, parts in one.rows.items():
            rows.setdefault(axis, []).extend(parts)
    return Measure(
        loss=sum(losses) / sum(counts),
        axes={axis: _of_axis(torch.cat(parts)) for axis, parts in rows.items()},
    )


def _finite(value: int | float) -> int | float | None:
    return value if math.isfinite(value) else None


def _parts(loader: PairLoader) -> Iterator[_Part]:
    """Yield the parts of all batches, each with its batch."""
    for whole in loader.batches():
        for pairs in whole.parts():
            yield pairs, whole


def _rows(output: HeadOutput, axis: str, target: Tensor) -> Tensor:
    """Return difference of means, probability of ``a``, and target, one row per labelled pair."""
    scores = pair_scores(output)
    column = output.axes.index(axis)
    mean_a, mean_b = scores.a.mean[:, column].tolist(), scores.b.mean[:, column].tolist()
    none: list[float | None] = [None] * len(mean_a)
    sigma_a = none if scores.a.sigma is None else scores.a.sigma[:, column].tolist()
    sigma_b = none if scores.b.sigma is None else scores.b.sigma[:, column].tolist()
    chances = [
        preference_probability(AxisScore(a, sa), AxisScore(b, sb), calibrator=None)
        for a, b, sa, sb in zip(mean_a, mean_b, sigma_a, sigma_b, strict=True)
    ]
    rows = torch.stack(
        [
            torch.tensor(mean_a, dtype=torch.float64) - torch.tensor(mean_b, dtype=torch.float64),
            torch.tensor(chances, dtype=torch.float64),
            target.double().cpu(),
        ],
        dim=1,
    )
    return rows[~target.isnan().cpu()]


def _of_axis(rows: Tensor) -> AxisMeasure:
    difference, chance, target = rows.unbind(1)
    decided = target != 0.5
    right = 0.5 + 0.5 * difference.sign() * (target - 0.5).sign()
    return AxisMeasure(
        pairs=len(rows),
        decided=int(decided.sum()),
        accuracy=float(right[decided].mean()),
        brier=float((chance - target).square().mean()),
        bernoulli=float(F.binary_cross_entropy(chance.clamp(1e-12, 1 - 1e-12), target)),
    )
