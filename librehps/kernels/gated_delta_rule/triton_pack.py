"""What a launch of the triton kernels of the gated delta rule is told: the pack, and the tile."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton

from librehps.kernels.gated_delta_rule.spans import Spans
from librehps.kernels.gated_delta_rule.triton_tiles import Tile
from librehps.typing import Float, Int, Tensor

__all__ = ["Pack", "Walk"]


@dataclass(frozen=True)
class Pack:
    """The inputs of the op, as the kernels read them.

    Args:
        q: [T, HK, K], the last dimension contiguous; like ``k`` and ``v``.
        k: [T, HK, K].
        v: [T, HV, V].
        g: [T, HV], contiguous.
        beta: [T, HV], contiguous.
        a_log: [HV], contiguous; ``None``, like ``dt_bias``, where ``g`` and ``beta`` are made.
        dt_bias: [HV], contiguous.
        normalize: Whether queries and keys are divided by their norm.
    """

    q: Float[Tensor, "T HK K"]
    k: Float[Tensor, "T HK K"]
    v: Float[Tensor, "T HV V"]
    g: Float[Tensor, "T HV"]
    beta: Float[Tensor, "T HV"]
    a_log: Float[Tensor, " HV"] | None = None
    dt_bias: Float[Tensor, " HV"] | None = None
    normalize: bool = True

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        """The inputs, in the order of the kernels' arguments."""
        return (self.q, self.k, self.v, self.g, self.beta, self.a_log, self.dt_bias)

    @property
    def heads(self) -> tuple[int, int]:
        """Value heads, and value heads of a key head."""
        return self.v.shape[1], self.v.shape[1] // self.q.shape[1]

    @property
    def strides(self) -> tuple[int, ...]:
        """From token to token and from head to head, of ``q``, ``k`` and ``v``."""
        return tuple(x.stride(i) for x in (self.q, self.k, self.v) for i in (0, 1))

    @property
    def constants(self) -> dict[str, int | float | bool | str]:
        """What the kernels are compiled for."""
        width = self.q.shape[2]
        return {
            "WIDTH": width,
            "DEPTH": self.v.shape[2],
            "SCALE": width**-0.5,
            "NORMALIZE": self.normalize,
            # TF32 is as good as float16, and better than bfloat16; it is not float32.
            "PRECISION": "ieee" if self.q.dtype == torch.float32 else "tf32",
            "BK": max(16, triton.next_power_of_2(width)),
        }

    def new_states(self, count: int, dtype: torch.dtype) -> Float[Tensor, "S HV K V"]:
        """Return room for ``count`` states of all heads."""
        return self.v.new_empty(
            count, self.v.shape[1], self.q.shape[2], self.v.shape[2], dtype=dtype
        )


@dataclass(frozen=True)
class Walk:
    """Spans that are walked side by side.

    Args:
        spans: First and last token of each.
        slots: Slot of the first state of each span, if states are read or written.
        tile: How much a program takes at a time.
    """

    spans: Spans
    slots: Int[Tensor, " S"] | None
    tile: Tile

    def grid(self, pack: Pack) -> tuple[int]:
        """One program for a span, a value head and a block of its columns."""
        _, heads, depth = pack.v.shape
        return (len(self.spans) * heads * triton.cdiv(depth, self.tile.values),)
