"""The scalar head: one number per item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from librehps.heads.projection import Projection
from librehps.heads.protocol import HEADS, HeadOutput, read_settings
from librehps.typing import Float, Tensor

__all__ = ["ScalarHead"]


class ScalarHead(Projection):
    """Score the ``overall`` axis with a mean alone, in float32: the Bradley-Terry reward.

    Args:
        hidden_size: Width of the pooled hidden states.
        hidden_sizes: Widths of MLP layers between; none for a linear head.
        activation: What stands between the layers of an MLP head.
        bias: Whether the layers have a bias.

    Raises:
        ConfigError: A width below 1 or an unknown activation.

    References:
        Bradley and Terry, "Rank analysis of incomplete block designs", 1952.
    """

    #: Name in ``HEADS``; a subclass that is registered under another one says so here.
    kind: ClassVar[str] = "scalar"

    def __init__(
        self,
        *,
        hidden_size: int,
        hidden_sizes: Sequence[int] = (),
        activation: str = "silu",
        bias: bool = True,
    ) -> None:
        super().__init__(
            hidden_size=hidden_size,
            out_features=1,
            hidden_sizes=hidden_sizes,
            activation=activation,
            bias=bias,
        )
        self.axes: tuple[str, ...] = ("overall",)

    def forward(self, pooled: Float[Tensor, "N D"]) -> HeadOutput:
        """Return the score, float32, in log-odds; there is no sigma."""
        return HeadOutput(mean=self.project(pooled), sigma=None, axes=self.axes)

    def to_config(self) -> dict[str, Any]:
        """Return the settings as JSON data."""
        return {
            "kind": self.kind,
            "hidden_sizes": list(self.hidden_sizes),
            "activation": self.activation,
            "bias": self.has_bias,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, hidden_size: int) -> ScalarHead:
        """Build an untrained head from `to_config` data; missing keys take the defaults."""
        known = {"hidden_sizes": "widths", "activation": "name", "bias": "flag"}
        settings = read_settings(config, kind=cls.kind, known=known)
        return cls(hidden_size=hidden_size, **settings)


HEADS.register("scalar")(ScalarHead)
