"""A linear layer or a small MLP in float32: what the library's own heads are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from librehps.errors import ConfigError
from librehps.typing import Float, Tensor

__all__ = ["ACTIVATIONS", "Projection"]

#: What may stand between the layers of an MLP head, by the name in its config.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "relu": F.relu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
}

# Of all layers together, 4 GiB: a config that asks for more is damaged or hostile, and what the
# allocator would say of it helps nobody. Where shapes have no memory, as in loading, torch must be
# able to count them, and what the file lacks is then named.
_MAX_WEIGHTS, _MAX_COUNT = 2**30, 2**60


def check_weights(widths: Sequence[int]) -> None:
    """Raise if layers from width to width have more weights than are built.

    Raises:
        ConfigError: More than ``2**30`` of them, on the meta device ``2**60`` (code ``head_size``).
    """
    most = _MAX_COUNT if torch.get_default_device().type == "meta" else _MAX_WEIGHTS
    num_weights = sum(fan_in * fan_out for fan_in, fan_out in pairwise(widths))
    if num_weights > most:
        raise ConfigError(
            f"a head of the widths {list(widths)!r:.200} has more than {most} weights, the most "
            "that are built",
            code="head_size",
        )


class Projection(nn.Module):
    """Project ``[N, D]`` to ``[N, out_features]`` in float32.

    Parameters sit at the module's own level under the names that ``nn.Linear`` (``weight``,
    ``bias``) and ``nn.Sequential`` (``0.weight``, ``2.weight``, ... with an activation between)
    would give them, so that a checkpoint made with either loads as it is.

    Args:
        hidden_size: Width of the pooled hidden states.
        out_features: Number of outputs.
        hidden_sizes: Widths of the layers between; none for a linear projection.
        activation: A name in `ACTIVATIONS`; without effect on a linear projection.
        bias: Whether the layers have a bias.

    Raises:
        ConfigError: A width below 1 or more than ``2**30`` weights (code ``head_size``), or an
            unknown activation (``head_activation``).
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        out_features: int,
        hidden_sizes: Sequence[int] = (),
        activation: str = "silu",
        bias: bool = True,
    ) -> None:
        super().__init__()
        widths = [hidden_size, *hidden_sizes, out_features]
        for width in widths:
            if width < 1:
                raise ConfigError(
                    f"a head's widths are numbers from 1, not {width!r}", code="head_size"
                )
        check_weights(widths)
        if activation not in ACTIVATIONS:
            raise ConfigError(
                f"unknown activation {activation!r}; known: {', '.join(ACTIVATIONS)}",
                code="head_activation",
            )
        self.hidden_size = hidden_size
        self.hidden_sizes = tuple(hidden_sizes)
        self.activation = activation
        self.has_bias = bias
        self._linear = not self.hidden_sizes
        for index, (fan_in, fan_out) in enumerate(pairwise(widths)):
            layer = nn.Linear(fan_in, fan_out, bias=bias, dtype=torch.float32)
            if self._linear:
                self.weight, self.bias = layer.weight, layer.bias
            else:
                self.add_module(str(2 * index), layer)
        self.reset_parameters()

    def layers(self) -> list[tuple[Tensor, Tensor | None]]:
        """Return weight and bias of each layer, from input to output."""
        if self._linear:
            return [(self.weight, self.bias if self.has_bias else None)]
        linears = [child for child in self.children() if isinstance(child, nn.Linear)]
        return [(child.weight, child.bias if self.has_bias else None) for child in linears]

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw fresh normal weights of standard deviation ``1 / sqrt(fan_in)``; zero biases.

        Those of the last layer are a twentieth of that: a run then starts from even odds, and does
        not spend its first steps on making scores smaller that mean nothing yet.
        """
        layers = self.layers()
        for weight, bias in layers:
            std = 1.0 / math.sqrt(weight.shape[1])
            if weight is layers[-1][0]:
                std *= 0.05
            nn.init.normal_(weight, std=std, generator=generator)
            if bias is not None:
                nn.init.zeros_(bias)

    def project(self, pooled: Float[Tensor, "N D"]) -> Float[Tensor, "N B"]:
        """Apply the layers in float32 (float64 where the weights are), autocast or not."""
        layers = self.layers()
        dtype = torch.promote_types(layers[0][0].dtype, torch.float32)
        act = ACTIVATIONS[self.activation]
        with torch.autocast(device_type=pooled.device.type, enabled=False):
            x = pooled.to(dtype)
            for index, (weight, bias) in enumerate(layers):
                if index > 0:
                    x = act(x)
                x = F.linear(x, weight.to(dtype), None if bias is None else bias.to(dtype))
        return x
