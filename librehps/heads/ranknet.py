"""HPSv3's head: an MLP to a mean and the logarithm of a sigma, for one axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F

from librehps.errors import ConfigError
from librehps.heads.projection import check_weights
from librehps.heads.protocol import HEADS, HeadOutput, read_settings
from librehps.typing import Float, Tensor

__all__ = ["RankNetHead"]

# exp of more is no longer a sensible sigma, and exp(89) is infinite in float32; exp(-104) is zero.
_MIN_LOG_SIGMA, _MAX_LOG_SIGMA = -80.0, 20.0


class RankNetHead(nn.Module):
    """Score the ``overall`` axis by an MLP with relu, in float32; ``sigma = exp(second output)``.

    The layers have the names that the published weights give them (``0``, ``3``, ``5``: a relu and,
    after the first, a dropout take the numbers between), so those load as they are.

    Args:
        hidden_size: Width of the pooled hidden states.
        hidden_sizes: Widths of the two layers between.
        dropout: Share of the first layer's outputs that are dropped in training.

    Raises:
        ConfigError: Not two widths, one below 1 or more than ``2**30`` weights (code
            ``head_size``), or a share outside [0, 1) (``head_value``).

    References:
        Ma et al., "HPSv3: Towards Wide-Spectrum Human Preference Score", arXiv 2508.03789; Burges
        et al., "Learning to rank using gradient descent", 2005, for the name.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        hidden_sizes: Sequence[int] = (1024, 16),
        dropout: float = 0.05,
    ) -> None:
        super().__init__()
        if len(hidden_sizes) != 2 or min(hidden_size, *hidden_sizes) < 1:
            raise ConfigError(
                f"a ranknet head has two layers between, of at least 1, not {list(hidden_sizes)} "
                f"on {hidden_size}",
                code="head_size",
            )
        check_weights((hidden_size, *hidden_sizes, 2))
        if not 0.0 <= dropout < 1.0:
            raise ConfigError(f"dropout must be in [0, 1), not {dropout}", code="head_value")
        self.axes: tuple[str, ...] = ("overall",)
        self.hidden_sizes = tuple(hidden_sizes)
        self.dropout = dropout
        widths = (hidden_size, *self.hidden_sizes, 2)
        for name, (fan_in, fan_out) in zip("035", pairwise(widths), strict=True):
            self.add_module(name, nn.Linear(fan_in, fan_out, dtype=torch.float32))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw fresh normal weights of standard deviation ``1 / sqrt(fan_in)``; zero biases."""
        for layer in self._layers():
            std = 1.0 / math.sqrt(layer.in_features)
            nn.init.normal_(layer.weight, std=std, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Float[Tensor, "N D"]) -> HeadOutput:
        """Return mean and sigma, float32 (float64 where the weights are), in log-odds."""
        first, second, third = self._layers()
        with torch.autocast(device_type=pooled.device.type, enabled=False):
            x = F.relu(_linear(pooled, first))
            x = F.dropout(x, self.dropout, training=self.training)
            mean, log_sigma = _linear(F.relu(_linear(x, second)), third).split(1, dim=-1)
        sigma = log_sigma.clamp(min=_MIN_LOG_SIGMA, max=_MAX_LOG_SIGMA).exp()
        return HeadOutput(mean=mean, sigma=sigma, axes=self.axes)

    def to_config(self) -> dict[str, Any]:
        """Return the settings as JSON data."""
        return {
            "kind": "ranknet",
            "hidden_sizes": list(self.hidden_sizes),
            "dropout": self.dropout,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, hidden_size: int) -> RankNetHead:
        """Build an untrained head from `to_config` data; missing keys take the defaults."""
        known = {"hidden_sizes": "widths", "dropout": "number"}
        settings = read_settings(config, kind="ranknet", known=known)
        return cls(hidden_size=hidden_size, **settings)

    def _layers(self) -> list[nn.Linear]:
        return [cast("nn.Linear", child) for child in self.children()]


def _linear(x: Tensor, layer: nn.Linear) -> Tensor:
    dtype = torch.promote_types(layer.weight.dtype, torch.float32)
    return F.linear(x.to(dtype), layer.weight.to(dtype), layer.bias.to(dtype))


HEADS.register("ranknet")(RankNetHead)
