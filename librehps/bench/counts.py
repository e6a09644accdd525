"""How many operations and bytes each op takes at the least: the one place where this is counted.

Operations are those of the definition, the formula in each function, with a multiplication and an
addition counted as two and an exponential, a root or a division as one. An implementation may do
more, as chunked forms do; it is judged by what it had to do. Bytes are every input read once and
every output written once, in the dtypes of the call; a backward pass reads the inputs and the
incoming gradients once more and writes a gradient for each input that has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from librehps.typing import Tensor

__all__ = [
    "Count",
    "add_rms_norm_operations",
    "attention_operations",
    "causal_conv1d_operations",
    "count",
    "gated_delta_rule_operations",
    "gated_rms_norm_operations",
    "rms_norm_operations",
    "rotary_operations",
    "selective_scan_operations",
    "swiglu_operations",
]


@dataclass(frozen=True)
class Count:
    """The least work of one call.

    Args:
        operations: Floating point operations.
        bytes: Read and written.
    """

    operations: int
    bytes: int

    @property
    def intensity(self) -> float:
        """Operations per byte."""
        return self.operations / self.bytes


def count(
    operations: tuple[int, int],
    *,
    inputs: Iterable[Tensor],
    outputs: Iterable[Tensor],
    differentiable: Iterable[Tensor],
    backward: bool,
) -> Count:
    """Return the work of a call from its operations and its tensors.

    Args:
        operations: Forward, and backward alone; from the function of the op.
        inputs: Every tensor that is read.
        outputs: Every tensor that is returned.
        differentiable: Inputs that have a gradient.
        backward: Whether the backward pass is part of the call.
    """
    read, written = _bytes(inputs), _bytes(outputs)
    if not backward:
        return Count(operations[0], read + written)
    return Count(sum(operations), 2 * read + 2 * written + _bytes(differentiable))


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def attention_operations(
    lengths: Sequence[int], *, heads: int, key_width: int, value_width: int, causal: bool
) -> tuple[int, int]:
    """Count ``softmax(scale * q kᵀ) v``: each query with each key that it sees, two products.

    ``P = sum n(n+1)/2`` pairs under a causal mask, ``sum n²`` without; forward ``2 P H (K + V)``
    for ``q kᵀ`` and ``p v``; backward ``2 P H (3K + 2V)``: ``q kᵀ`` again, the gradients of ``p``,
    ``v``, ``q`` and ``k``. The softmax itself is left out.
    """
    pairs = sum(n * (n + 1) // 2 if causal else n * n for n in lengths)
    forward = 2 * pairs * heads * (key_width + value_width)
    return forward, 2 * pairs * heads * (3 * key_width + 2 * value_width)


def gated_delta_rule_operations(
    tokens: int, *, heads: int, key_width: int, value_width: int
) -> tuple[int, int]:
    """Count the loop of the definition, per token and value head, on a state of K V numbers.

    ``S <- exp(g) S``: KV; ``Sᵀ k``: 2KV; ``u = beta (v - Sᵀ k)``: 2V; ``S <- S + k uᵀ``: 2KV;
    ``Sᵀ q``: 2KV. Backward: twice that, a product for either factor of each.
    """
    forward = tokens * heads * (7 * key_width * value_width + 2 * value_width)
    return forward, 2 * forward


def selective_scan_operations(
    tokens: int, *, heads: int, key_width: int, value_width: int
) -> tuple[int, int]:
    """Count the loop of the definition, per token and head, on a state of K V numbers.

    ``S <- exp(d A) S + B (d x)ᵀ``: 3KV + V; ``Sᵀ C``: 2KV; ``(y + D x) silu(z)``: 2V + 4V.
    Backward: twice that, a product for either factor of each.
    """
    forward = tokens * heads * (5 * key_width * value_width + 7 * value_width)
    return forward, 2 * forward


def causal_conv1d_operations(tokens: int, *, channels: int, taps: int) -> tuple[int, int]:
    """Count ``silu(sum_w weight_w x_{t-W+1+w})``: 2W for the sum, 3 for silu, per channel.

    Backward: 2W for each of the two factors, and 6 through silu.
    """
    elements = tokens * channels
    return elements * (2 * taps + 3), elements * (4 * taps + 6)


def rms_norm_operations(elements: int) -> tuple[int, int]:
    """Count ``x / sqrt(mean(x²) + eps) * (1 + weight)``: 2 for the mean of squares, 1, and 2.

    Backward: the mean of ``x`` times its gradient 2, ``x̄`` 4, the gradient of the weight 2.
    """
    return 5 * elements, 8 * elements


def add_rms_norm_operations(elements: int) -> tuple[int, int]:
    """Count ``s = x + h`` and the norm of ``s``: 1 more than the norm, forward and backward."""
    forward, backward = rms_norm_operations(elements)
    return forward + elements, backward + elements


def gated_rms_norm_operations(elements: int) -> tuple[int, int]:
    """Count ``weight * x / sqrt(mean(x²) + eps) * silu(gate)``: 4 as in a norm, silu 3, and 1.

    Backward: 8 as in a norm, 8 through the gate and its silu.
    """
    return 8 * elements, 16 * elements


def rotary_operations(tokens: int, *, heads: int, turned: int) -> tuple[int, int]:
    """Count ``x cos ± x' sin``: 3 for each of the R dimensions that turn; as many backward."""
    return 3 * tokens * heads * turned, 3 * tokens * heads * turned


def swiglu_operations(elements: int) -> tuple[int, int]:
    """Count ``silu(gate) * up``: 3 for silu, 1 for the product; backward 8 through both."""
    return 4 * elements, 8 * elements
