"""The axis-tokens head: each of the last tokens of a sequence scores one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from librehps.heads.multi_axis import MultiAxisHead
from librehps.heads.protocol import HEADS, HeadOutput, check_axes, read_settings
from librehps.heads.sequences import Sequences
from librehps.typing import Tensor

__all__ = ["AxisTokensHead"]


class AxisTokensHead(nn.Module):
    """Score axis ``a`` of ``A`` from the ``a``-th of the last ``A`` tokens of each sequence.

    With ``h_a`` the hidden state of that token,

        mean_a = w_a . h_a + b_a,    sigma_a = softplus(u_a . h_a + c_a) + 1e-3

    in float32 (float64 where its parameters are). The weights are those of a `MultiAxisHead`, of
    which token ``a`` is asked for axis ``a`` alone; ``shared`` has one pair of vectors for all
    axes, and then only the tokens tell them apart.

    The prompt template should end with at least ``A`` tokens of its own, so that the tokens read
    are the same for every prompt; saving a checkpoint whose template does not is refused. Later
    axes can see earlier ones, as attention is causal.

    Args:
        hidden_size: Width of the hidden states.
        axes: Names from ``AXES``, in the order of the tokens.
        shared: Whether all axes have the same weights.
        hidden_sizes: Widths of MLP layers between, which all axes share; none for a linear head.
        activation: What stands between the layers of an MLP head.
        bias: Whether the layers have a bias.
        sigma: Whether there are sigma outputs.

    Raises:
        ConfigError: See `MultiAxisHead`.

    References:
        Liu et al., "Improving video generation with human feedback", arXiv 2501.13918, 2025, whose
        VideoReward (the repository VideoAlign) reads every dimension from a special token of its
        own, through a linear layer with one output for all, or with one output each.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        axes: Sequence[str] = ("overall", "alignment", "coherence", "style"),
        shared: bool = False,
        hidden_sizes: Sequence[int] = (),
        activation: str = "silu",
        bias: bool = True,
        sigma: bool = True,
    ) -> None:
        super().__init__()
        self.axes = check_axes(axes)
        self.shared = shared
        #: One token per axis is read.
        self.last_tokens: int | None = len(self.axes)
        self.readout = MultiAxisHead(
            hidden_size=hidden_size,
            # Shared weights have one column, which is said of every token in turn.
            axes=self.axes[:1] if shared else self.axes,
            hidden_sizes=hidden_sizes,
            activation=activation,
            bias=bias,
            sigma=sigma,
        )

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw fresh weights; see `MultiAxisHead`."""
        self.readout.reset_parameters(generator)

    def forward(self, sequences: Sequences) -> HeadOutput:
        """Return mean and sigma per axis, float32, in log-odds.

        Raises:
            InputError: A sequence has fewer tokens than there are axes (``sequence_too_short``).
        """
        out = self.readout(sequences.last(len(self.axes)).flatten(0, 1))
        sigma = None if out.sigma is None else self._own(out.sigma)
        return HeadOutput(mean=self._own(out.mean), sigma=sigma, axes=self.axes)

    def to_config(self) -> dict[str, Any]:
        """Return the settings as JSON data."""
        own = {"kind": "axis_tokens", "axes": list(self.axes), "shared": self.shared}
        return {**self.readout.to_config(), **own}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, hidden_size: int) -> AxisTokensHead:
        """Build an untrained head from `to_config` data; missing keys take the defaults."""
        known = {
            "axes": "names",
            "shared": "flag",
            "hidden_sizes": "widths",
            "activation": "name",
            "bias": "flag",
            "sigma": "flag",
        }
        settings = read_settings(config, kind="axis_tokens", known=known)
        return cls(hidden_size=hidden_size, **settings)

    def _own(self, columns: Tensor) -> Tensor:
        """From what is said of every token, one after the other, take token ``a``'s axis ``a``."""
        count = len(self.axes)
        if self.shared:
            return columns.view(-1, count)
        return columns.view(-1, count, count).diagonal(dim1=1, dim2=2)


HEADS.register("axis_tokens")(AxisTokensHead)
