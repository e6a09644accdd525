"""From a batch of pairs to the loss that is minimised, over all heads and their axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from librehps.data.loader import PairBatch
from librehps.errors import ConfigError
from librehps.heads import Head, HeadOutput
from librehps.losses import AxisLoss, AxisValues, Scores
from librehps.typing import Float, Tensor

__all__ = ["Objective", "PairScores", "pair_scores"]

# Where a whole batch has no label, no part has one, and this keeps its share at 0.
_NO_LABELS = 1e-30


@dataclass(frozen=True)
class PairScores:
    """The scores of one head for both sides of some pairs."""

    a: Scores
    b: Scores
    axes: tuple[str, ...]


def pair_scores(output: HeadOutput) -> PairScores:
    """Cut the scores of a `PairBatch` in two: its first half is all ``a``, the second all ``b``."""
    half = output.mean.shape[0] // 2
    sides = [
        Scores(mean=output.mean[rows], sigma=None if output.sigma is None else output.sigma[rows])
        for rows in (slice(None, half), slice(half, None))
    ]
    return PairScores(a=sides[0], b=sides[1], axes=output.axes)


@dataclass(frozen=True)
class Objective:
    """Sums the losses of all heads, each the weighted mean over its labels.

    Args:
        loss: The loss on one axis, and the weights of the axes.
    """

    loss: AxisLoss

    def check(self, heads: Mapping[str, Head], outputs: Mapping[str, HeadOutput]) -> None:
        """Refuse heads that the loss cannot train, before a run begins.

        Raises:
            ConfigError: A head has no sigma and the loss needs one (code ``sigma_missing``), or
                there is a weight for an axis that no head scores (``axis_unknown``).
        """
        scored = {axis for head in heads.values() for axis in head.axes}
        for what, named in (("axis_weights", self.loss.weights), ("a loss", self.loss.losses)):
            for axis in named:
                if axis not in scored:
                    raise ConfigError(
                        f"{what} names {axis!r}; the heads score {', '.join(sorted(scored))}",
                        code="axis_unknown",
                    )
        for name, output in outputs.items():
            used = (self.loss.losses.get(axis, self.loss.loss) for axis in output.axes)
            needs = next((loss for loss in used if loss.uses_sigma), None)
            if output.sigma is None and needs is not None:
                raise ConfigError(
                    f"the loss {type(needs).__name__} needs a sigma and the head {name!r} "
                    "has none: choose bradley_terry, or a head with sigma",
                    code="sigma_missing",
                )

    def values(self, outputs: Mapping[str, HeadOutput], pairs: PairBatch) -> dict[str, AxisValues]:
        """Return the loss of each pair on each axis, for each head."""
        found: dict[str, AxisValues] = {}
        for name, output in outputs.items():
            scores = pair_scores(output)
            columns = [pairs.axes.index(axis) for axis in output.axes]
            target = pairs.target.to(output.mean.device)[:, columns]
            # Each head is asked about its own axes.
            losses = {k: v for k, v in self.loss.losses.items() if k in output.axes}
            weights = {k: v for k, v in self.loss.weights.items() if k in output.axes}
            loss = AxisLoss(self.loss.loss, losses=losses, weights=weights)
            found[name] = loss(scores.a, scores.b, target, axes=output.axes)
        return found

    def total(
        self,
        values: Mapping[str, AxisValues],
        pairs: PairBatch,
        *,
        out_of: Mapping[str, float] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the sum over heads of the mean loss, weighted by axis and by confidence.

        Args:
            values: What `values` found for these pairs.
            pairs: The pairs.
            out_of: What `labels` found, by head, for all pairs that are averaged together and of
                which these are a part; they are all if ``None``. The totals of all parts add up to
                that of the whole, and so do their gradients: each counts as much of the mean as it
                has of the labels.
        """
        means = [value.mean(pairs.weights.to(value.values.device)) for value in values.values()]
        if out_of is not None:
            shares = (
                self._labels(value.axes, pairs) / max(out_of[name], _NO_LABELS)
                for name, value in values.items()
            )
            means = [mean * share for mean, share in zip(means, shares, strict=True)]
        return torch.stack(means).sum()

    def labels(
        self, heads: Mapping[str, tuple[str, ...]], batches: Sequence[PairBatch]
    ) -> dict[str, float]:
        """Return what the labels of some batches weigh together: by head, the mean loss's divisor.

        Args:
            heads: The axes of each.
            batches: The pairs.
        """
        return {
            name: sum(self._labels(axes, pairs) for pairs in batches)
            for name, axes in heads.items()
        }

    def _labels(self, axes: tuple[str, ...], pairs: PairBatch) -> float:
        columns = [pairs.axes.index(axis) for axis in axes]
        weights = torch.tensor([self.loss.weights.get(axis, 1.0) for axis in axes])
        labelled = ~pairs.target[:, columns].isnan()
        return float((labelled * weights * pairs.weights[:, None]).double().sum())
