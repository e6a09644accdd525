"""Several axes at once: a loss for each, and labels that may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from librehps.errors import ConfigError, InputError
from librehps.losses.protocol import PairLoss, Scores, check_number
from librehps.losses.reduce import weighted_mean
from librehps.typing import Bool, Float, Tensor

__all__ = ["AxisLoss", "AxisValues"]


@dataclass(frozen=True)
class AxisValues:
    """The losses of a batch of pairs on every axis.

    Args:
        values: Loss of each pair on each axis; 0 where there is no label.
        weights: What each counts: the weight of the axis, or 0 where there is no label.
        axes: Names of the columns.
        labelled: Whether there is a label.
    """

    values: Float[Tensor, "N A"]
    weights: Float[Tensor, "N A"]
    axes: tuple[str, ...]
    labelled: Bool[Tensor, "N A"]

    def mean(self, confidence: Float[Tensor, " N"] | None = None) -> Float[Tensor, ""]:
        """Return the mean over all labels, weighted by axis and by confidence; 0 without any.

        Raises:
            InputError: Not one confidence for each pair (code ``argument_shape``).
        """
        if confidence is None:
            return weighted_mean(self.values, self.weights)
        if confidence.shape != self.values.shape[:1]:
            raise InputError(
                f"confidence has shape {list(confidence.shape)}; expected one for each of "
                f"{len(self.values)} pairs",
                code="argument_shape",
                item="confidence",
            )
        return weighted_mean(self.values, self.weights * confidence[:, None])

    def by_axis(self) -> dict[str, Float[Tensor, ""]]:
        """Return the mean of each axis over its own labels, for the log."""
        own = self.labelled.to(self.values.dtype)
        return {
            name: weighted_mean(self.values[:, column], own[:, column])
            for column, name in enumerate(self.axes)
        }


@dataclass(frozen=True)
class AxisLoss:
    """Apply a loss to every axis of a head that scores several.

    Args:
        loss: The loss for every axis that ``losses`` does not name.
        losses: Other losses for some axes, by name.
        weights: Weights of the axes, by name, not negative; 1 for those it does not name.

    Raises:
        ConfigError: A weight that is negative or not finite (code ``loss_value``).
    """

    loss: PairLoss
    losses: Mapping[str, PairLoss] = field(default_factory=dict[str, PairLoss])
    weights: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            check_number(f"the weight of {name}", weight, low=0.0)

    def __call__(
        self,
        a: Scores,
        b: Scores,
        target: Float[Tensor, "N A"],
        *,
        axes: tuple[str, ...],
    ) -> AxisValues:
        """Return the loss of each pair on each axis.

        Args:
            a: Scores of the first items, a column per axis.
            b: Scores of the second items.
            target: How far ``a`` is preferred on each axis, in [0, 1]; NaN where there is no label.
            axes: Names of the columns.

        Raises:
            InputError: The columns are not those of ``axes`` (code ``argument_shape``).
            ConfigError: A loss or a weight for an axis that is not scored (code ``axis_unknown``).
        """
        shape = (*a.mean.shape[:1], len(axes))
        given = {"target": target, "mean_a": a.mean, "mean_b": b.mean}
        sigmas = {"sigma_a": a.sigma, "sigma_b": b.sigma}
        given |= {name: sigma for name, sigma in sigmas.items() if sigma is not None}
        for name, tensor in given.items():
            if tensor.shape != shape:
                raise InputError(
                    f"{name} has shape {list(tensor.shape)}; expected a row for each pair and a "
                    f"column for each of {', '.join(axes)}",
                    code="argument_shape",
                    item=name,
                )
        for name in (*self.losses, *self.weights):
            if name not in axes:
                raise ConfigError(
                    f"there is a loss or a weight for {name!r}, but the head scores "
                    f"{', '.join(axes)}",
                    code="axis_unknown",
                )
        labelled = ~target.isnan()
        # Any number will do where there is no label, but NaN would reach the gradient; so would
        # that of a score which is not finite there.
        filled = target.masked_fill(~labelled, 0.5)
        first, second = _filled(a, labelled), _filled(b, labelled)
        columns = [
            self.losses.get(name, self.loss)(
                _column(first, place), _column(second, place), filled[:, place]
            )
            for place, name in enumerate(axes)
        ]
        values = torch.stack(columns, dim=1).masked_fill(~labelled, 0.0)
        weights = torch.tensor(
            [self.weights.get(name, 1.0) for name in axes], dtype=values.dtype, device=values.device
        )
        weights = weights * labelled
        return AxisValues(values=values, weights=weights, axes=axes, labelled=labelled)


def _filled(scores: Scores, labelled: Tensor) -> Scores:
    sigma = None if scores.sigma is None else scores.sigma.masked_fill(~labelled, 1.0)
    return Scores(scores.mean.masked_fill(~labelled, 0.0), sigma)


def _column(scores: Scores, place: int) -> Scores:
    sigma = None if scores.sigma is None else scores.sigma[:, place]
    return Scores(mean=scores.mean[:, place], sigma=sigma)
