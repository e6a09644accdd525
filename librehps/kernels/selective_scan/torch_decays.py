"""Decays within a chunk, and a gradient of theirs in which what should cancel does.

A log decay is part of every pair of tokens around it. Taken by autograd, its gradient is row sums
less column sums in float32, where pairs that do not lie around it cancel only to the last digit;
where the true gradient is tiny, as that of a rate under strong decay, nothing is left of it.
"""

from __future__ import annotations

from typing import Any

import torch

from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.gated_delta_rule.torch_chunk_step import pair_decays
from librehps.typing import Float, Tensor

__all__ = ["chunk_decays"]

# exp(-1e3) is 0 in float64 too; the floor keeps sums of decays finite, and their last digit small.
_DECAY_FLOOR = -1e3


def chunk_decays(
    log_decay: Float[Tensor, "M HV c"], dtype: torch.dtype
) -> tuple[
    Float[Tensor, "M HV c c"],
    Float[Tensor, "M HV c"],
    Float[Tensor, "M HV c"],
    Float[Tensor, "M HV"],
]:
    """Return the decays between the tokens of each chunk and around them; none is above 1.

    Args:
        log_decay: Log decay of each token's step, at most 0; float64.
        dtype: Of the results, float32 or float64.

    Returns:
        ``(pairs, read, write, whole)``: from token j to token i for j <= i and else 0; from before
        the chunk to token i; from token i to the end of the chunk; over the chunk.
    """
    return _ChunkDecays.apply(dtype, log_decay)


class _ChunkDecays(torch.autograd.Function):
    """Forward in float64 sums, and a gradient that is summed in float64."""

    @staticmethod
    def forward(
        ctx: Any, dtype: torch.dtype, *inputs: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # After a strong decay a float32 sum is too coarse for the differences that follow.
        total = inputs[0].clamp(min=_DECAY_FLOOR).cumsum(dim=-1)
        last = total[..., -1:]
        pairs = pair_decays(total[..., None], dtype)
        read, write, whole = (part.exp().to(dtype) for part in (total, last - total, last[..., 0]))
        ctx.save_for_backward(pairs, read, write, whole)
        return pairs, read, write, whole

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[None, Tensor]:
        return None, _gradient(ctx, *grad_outputs)


@first_derivative_only
def _gradient(ctx: Any, *grad_outputs: Tensor) -> Tensor:
    pairs, *around = ctx.saved_tensors
    # The decay of a token to itself is constant.
    inner = (grad_outputs[0] * pairs).tril_(-1)
    read, write, whole = (
        grad.to(torch.float64) * decay for grad, decay in zip(grad_outputs[1:], around, strict=True)
    )
    # The decay of token t is in the pairs (i, j) with j < t <= i: those that end at t or later,
    # less those that also begin there, which are the same numbers and cancel in float64.
    rows, columns = (inner.sum(dim=dim, dtype=torch.float64) for dim in (-1, -2))
    grad = (rows - columns + read).flip(-1).cumsum(dim=-1).flip(-1)
    # It is in the writes of all tokens before it: summed without a subtraction.
    grad[..., 1:] += write.cumsum(dim=-1)[..., :-1]
    grad += whole[..., None]
    return grad
