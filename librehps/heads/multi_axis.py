"""The multi-axis head: a mean and a sigma for each axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from librehps.heads.projection import Projection
from librehps.heads.protocol import HEADS, HeadOutput, check_axes, read_settings
from librehps.typing import Float, Tensor

__all__ = ["SIGMA_FLOOR", "MultiAxisHead"]

#: Smallest sigma: keeps the probability of a pair a smooth function of the two means.
SIGMA_FLOOR = 1e-3


class MultiAxisHead(Projection):
    """Score each axis with a mean and a standard deviation, in float32.

    The projection's outputs are ``[means | raw sigmas]``; ``sigma = softplus(raw) + 1e-3``. Read
    as in a Thurstone model: what a person sees in an item is its mean plus Gaussian noise of that
    sigma.

    Args:
        hidden_size: Width of the pooled hidden states.
        axes: Names from ``AXES``, one column each.
        hidden_sizes: Widths of MLP layers between; none for a linear head.
        activation: What stands between the layers of an MLP head.
        bias: Whether the layers have a bias.
        sigma: Whether there are sigma outputs.

    Raises:
        ConfigError: An unknown or repeated axis, a width below 1 or an unknown activation.

    References:
        Thurstone, "A law of comparative judgment", 1927, case III.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        axes: Sequence[str] = ("overall", "alignment", "coherence", "style"),
        hidden_sizes: Sequence[int] = (),
        activation: str = "silu",
        bias: bool = True,
        sigma: bool = True,
    ) -> None:
        # Before the base class: it draws the weights, and the sigma bias needs the axes.
        names = check_axes(axes)
        self._num_axes = len(names)
        self._sigma = sigma
        super().__init__(
            hidden_size=hidden_size,
            out_features=len(names) * (2 if sigma else 1),
            hidden_sizes=hidden_sizes,
            activation=activation,
            bias=bias,
        )
        self.axes = names

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw fresh weights; the sigma biases are set so that an untrained sigma is about 1."""
        super().reset_parameters(generator)
        bias = self.layers()[-1][1]
        if self._sigma and bias is not None:
            nn.init.constant_(bias[self._num_axes :], math.log(math.expm1(1.0 - SIGMA_FLOOR)))

    def forward(self, pooled: Float[Tensor, "N D"]) -> HeadOutput:
        """Return mean and sigma per axis, float32, in log-odds."""
        out = self.project(pooled)
        if not self._sigma:
            return HeadOutput(mean=out, sigma=None, axes=self.axes)
        mean, raw = out.split(self._num_axes, dim=-1)
        return HeadOutput(mean=mean, sigma=F.softplus(raw) + SIGMA_FLOOR, axes=self.axes)

    def to_config(self) -> dict[str, Any]:
        """Return the settings as JSON data."""
        return {
            "kind": "multi_axis",
            "axes": list(self.axes),
            "hidden_sizes": list(self.hidden_sizes),
            "activation": self.activation,
            "bias": self.has_bias,
            "sigma": self._sigma,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, hidden_size: int) -> MultiAxisHead:
        """Build an untrained head from `to_config` data; missing keys take the defaults."""
        known = {
            "axes": "names",
            "hidden_sizes": "widths",
            "activation": "name",
            "bias": "flag",
            "sigma": "flag",
        }
        settings = read_settings(config, kind="multi_axis", known=known)
        return cls(hidden_size=hidden_size, **settings)


HEADS.register("multi_axis")(MultiAxisHead)
