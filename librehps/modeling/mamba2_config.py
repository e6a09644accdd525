"""The shape of a Mamba-2 mixer: the ``mamba2`` part of a text model's config, checked and frozen.

Qwen's files have no such part; the names in it are those of ``Mamba2Config`` in transformers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, cast

from librehps.modeling.config_reading import (
    build,
    honour,
    honour_only,
    require,
    require_counts,
    require_measures,
    select,
)

__all__ = ["Mamba2Config"]

_SECTION = "text_config.mamba2"
_IMPLEMENTED: dict[str, tuple[Any, ...]] = {"hidden_act": ("silu",), "norm_before_gate": (False,)}
# In transformers' files, and without influence on the result: `expand` follows from the heads and
# is compared with them, the rank is of Mamba-1, and the size of a chunk is a matter of speed.
_WITHOUT_INFLUENCE = ("expand", "time_step_rank", "chunk_size")
# JSON has no infinity; this is how transformers writes one.
_INFINITY = {"__float__": "Infinity"}


@dataclass(frozen=True, kw_only=True)
class Mamba2Config:
    """A Mamba-2 mixer.

    Args:
        num_heads: Heads, each with a memory of its own.
        head_dim: Width of a head; all heads together are usually twice the hidden states.
        state_size: Width of what addresses the memory.
        n_groups: Groups of heads with the same addresses; divides the heads. The norm works within
            each group.
        conv_kernel: Taps of the causal convolution, the current token included.
        use_bias: Whether the two projections have a bias.
        use_conv_bias: Whether the convolution has one.
        layer_norm_epsilon: Added to the mean square inside the norm.
        time_step_min: Smallest step of a fresh head without input.
        time_step_max: Largest step of a fresh head without input.
        time_step_floor: Least step of a fresh head, whatever the two above say.
        time_step_limit: Smallest and largest step of a token.

    Raises:
        ConfigError: A size that is not a positive integer, or settings that do not fit together
            (code ``config_value``; ``item`` names the field).
    """

    num_heads: int
    head_dim: int = 64
    state_size: int = 128
    n_groups: int = 8
    conv_kernel: int = 4
    use_bias: bool = False
    use_conv_bias: bool = True
    layer_norm_epsilon: float = 1e-5
    time_step_min: float = 0.001
    time_step_max: float = 0.1
    time_step_floor: float = 1e-4
    time_step_limit: tuple[float, float] = (0.0, inf)

    def __post_init__(self) -> None:
        require_counts(self, _SECTION)
        require_measures(self, _SECTION)
        require(
            self.conv_kernel > 1,
            "a convolution of one tap mixes nothing",
            item=f"{_SECTION}.conv_kernel",
        )
        require(
            self.num_heads % self.n_groups == 0,
            f"{self.num_heads} heads cannot share {self.n_groups} groups",
            item=f"{_SECTION}.n_groups",
        )
        require(
            self.time_step_min <= self.time_step_max,
            f"{self.time_step_min} is above the largest, {self.time_step_max}",
            item=f"{_SECTION}.time_step_min",
        )
        low, high = self.time_step_limit
        require(
            0 <= low < high,
            f"must be two numbers, 0 <= smallest < largest, found {[low, high]}",
            item=f"{_SECTION}.time_step_limit",
        )

    @property
    def intermediate_size(self) -> int:
        """Width of all heads together."""
        return self.num_heads * self.head_dim

    @property
    def conv_dim(self) -> int:
        """Channels of the convolution: what is written, and where to write and to read."""
        return self.intermediate_size + 2 * self.n_groups * self.state_size

    @classmethod
    def from_hf(cls, mapping: Any, *, hidden_size: Any) -> Mamba2Config:
        """Read the ``mamba2`` part of a ``text_config``.

        Args:
            mapping: The parsed part; the settings of a mixer in a ``Mamba2Config`` of transformers.
            hidden_size: What the file says of the text model's width.

        Raises:
            ConfigError: A setting is missing (code ``config_missing``), or not understood, or makes
                no sense (``config_value``).
        """
        require(isinstance(mapping, Mapping), f"is no mapping: {mapping!r:.80}", item=_SECTION)
        names = tuple(field.name for field in dataclasses.fields(cls))
        honour_only(mapping, _SECTION, (*names, *_IMPLEMENTED, *_WITHOUT_INFLUENCE))
        honour(mapping, _SECTION, _IMPLEMENTED)
        values = select(cls, mapping)
        if "time_step_limit" in values:
            values["time_step_limit"] = _limits(values["time_step_limit"])
        config = build(cls, values, _SECTION)
        expand = mapping.get("expand")
        # A width that is no integer is refused with the text model's own settings.
        if expand is not None and isinstance(hidden_size, int):
            require(
                isinstance(expand, int | float)
                and config.intermediate_size == expand * hidden_size,
                f"{expand!r} times the width {hidden_size} is not {config.num_heads} heads of "
                f"{config.head_dim}",
                item=f"{_SECTION}.expand",
            )
        return config

    def to_hf(self) -> dict[str, Any]:
        """Return the ``mamba2`` part of a ``text_config``, ready for JSON."""
        low, high = self.time_step_limit
        return dataclasses.asdict(self) | {
            "time_step_limit": [low, _INFINITY if high == inf else high],
            "hidden_act": "silu",
        }


def _limits(listed: Any) -> tuple[float, float]:
    """Read two numbers, the second of which may be infinite."""
    numbers = cast("list[Any]", list(listed)) if isinstance(listed, list | tuple) else []
    numbers = [inf if number == _INFINITY else number for number in numbers]
    require(
        len(numbers) == 2 and all(type(number) in (int, float) for number in numbers),
        f"must be two numbers, found {listed!r:.80}",
        item=f"{_SECTION}.time_step_limit",
    )
    return float(numbers[0]), float(numbers[1])
