"""Causal depthwise convolution as shifted multiply-adds over blocks of rows.

Measured on one core (EPYC, AVX-512) for 2048 tokens of 8192 channels, 4 taps and silu, in
milliseconds of forward (and of forward with backward): 53 (155) in float32 and 40 (130) in
bfloat16, against 297 (923) and 196 (738) for ``torch.nn.functional.conv1d`` with one group per
channel, and 244 (914) and 198 (597) for multiply-adds over the whole array: a block of rows stays
in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F

from librehps.kernels.arguments import compute_dtype
from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.rows import rows_per_block
from librehps.typing import Float, Int, Tensor

__all__ = ["causal_conv1d_torch"]


def causal_conv1d_torch(
    x: Float[Tensor, "T C"],
    weight: Float[Tensor, "C W"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    bias: Float[Tensor, " C"] | None = None,
    initial_state: Float[Tensor, "N C W_minus_1"] | None = None,
    activation: str | None = None,
) -> tuple[Float[Tensor, "T C"], Float[Tensor, "N C W_minus_1"]]:
    """Compute `librehps.kernels.causal_conv1d`, one sequence after the other."""
    bounds: list[int] = cu_seqlens.tolist()
    dtype = compute_dtype(x, weight, *(() if bias is None else (bias,)))
    options = (tuple(bounds), activation, dtype)
    return _ShiftedConv.apply(options, initial_state, bias, x, weight)


# Boundaries of the sequences, the activation, and what is summed in.
_Options: TypeAlias = tuple[tuple[int, ...], str | None, torch.dtype]


class _Line:
    """One sequence with the ``W - 1`` rows before it, read in blocks without being joined.

    Row ``s`` of the line is row ``s - (W - 1)`` of the sequence.
    """

    def __init__(self, own: Tensor, before: Tensor | None, dtype: torch.dtype, taps: int) -> None:
        self.own = own
        self.dtype = dtype
        self.lead = taps - 1
        self.before = own.new_zeros(self.lead, own.shape[1]) if before is None else before.T

    def rows(self, first: int, last: int) -> Tensor:
        """Return rows ``first`` to ``last`` (exclusive) of the line."""
        own = self.own[max(first - self.lead, 0) : max(last - self.lead, 0)].to(self.dtype)
        if first >= self.lead:
            return own
        return torch.cat([self.before[first : min(last, self.lead)].to(self.dtype), own])


def _lines(
    options: _Options, x: Tensor, taps: int, initial_state: Tensor | None
) -> Iterator[tuple[int, int, int, _Line]]:
    """Yield ``(index, start, length, line)`` for every sequence."""
    bounds, _, dtype = options
    for index in range(len(bounds) - 1):
        start, end = bounds[index], bounds[index + 1]
        before = None if initial_state is None else initial_state[index]
        yield index, start, end - start, _Line(x[start:end], before, dtype, taps)


def _slide(rows: Tensor, taps: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``bias`` and the sums of ``taps`` [W, C] along ``rows`` [c + W - 1, C]: [c, C]."""
    count = rows.shape[0] - taps.shape[0] + 1
    sums = rows[:count] * taps[0] if bias is None else torch.addcmul(bias, rows[:count], taps[0])
    for tap in range(1, taps.shape[0]):
        sums.addcmul_(rows[tap : tap + count], taps[tap])
    return sums


class _ShiftedConv(torch.autograd.Function):
    """Forward and gradient; the sums before the activation are formed again for the gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        options: _Options,
        initial_state: Tensor | None,
        bias: Tensor | None,
        *inputs: Tensor,
    ) -> tuple[Tensor, Tensor]:
        bounds, activation, dtype = options
        x, weight = inputs
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        final = x.new_empty(len(bounds) - 1, x.shape[1], weight.shape[1] - 1)
        taps = weight.to(dtype).T.contiguous()
        offset = None if bias is None else bias.to(dtype)
        size = rows_per_block(x.shape[1], x.device)
        for index, start, length, line in _lines(options, x, weight.shape[1], initial_state):
            for first in range(0, length, size):
                last = min(first + size, length)
                sums = _slide(line.rows(first, last + line.lead), taps, offset)
                if activation is not None:
                    F.silu(sums, inplace=True)
                y[start + first : start + last].copy_(sums)
            final[index] = line.rows(length, length + line.lead).T
        ctx.save_for_backward(x, weight, bias, initial_state)
        ctx.options = options
        ctx.set_materialize_grads(False)
        return y, final

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@first_derivative_only
def _gradients(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
    x, weight, bias, initial_state = ctx.saved_tensors
    activation, dtype = ctx.options[1:]
    grad_y, grad_final = grad_outputs
    taps = weight.to(dtype).T.contiguous()
    offset = None if bias is None else bias.to(dtype)
    grad_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    grad_taps = torch.zeros_like(taps)
    grad_offset = None if offset is None else torch.zeros_like(offset)
    grad_state = None if initial_state is None else torch.empty_like(initial_state)
    size = rows_per_block(x.shape[1], x.device)
    for index, start, length, line in _lines(ctx.options, x, weight.shape[1], initial_state):
        upstream = None if grad_y is None else grad_y[start : start + length]
        for first in range(0, length + line.lead, size):
            last = min(first + size, length + line.lead)
            grad = taps.new_zeros(last - first, x.shape[1])
            if upstream is not None:
                _backward_block(
                    *(line, upstream, activation, taps, grad),
                    offset=offset,
                    first=first,
                    grad_taps=grad_taps,
                    grad_offset=grad_offset,
                )
            if grad_final is not None and last > length:
                skip = max(first - length, 0)
                grad[max(length - first, 0) :] += (
                    grad_final[index].T[skip : last - length].to(grad.dtype)
                )
            lead = max(min(line.lead, last) - first, 0)
            if lead and grad_state is not None:
                grad_state[index, :, first : first + lead] = grad[:lead].T.to(grad_state.dtype)
            begin = start + first + lead - line.lead
            grad_x[begin : begin + grad.shape[0] - lead].copy_(grad[lead:])
    grad_bias = None
    if bias is not None and grad_offset is not None:
        grad_bias = grad_offset.to(bias.dtype)
    return None, grad_state, grad_bias, grad_x, grad_taps.T.to(weight.dtype)


def _backward_block(
    line: _Line,
    upstream: Tensor,
    activation: str | None,
    taps: Tensor,
    grad: Tensor,
    *,
    offset: Tensor | None,
    first: int,
    grad_taps: Tensor,
    grad_offset: Tensor | None,
) -> None:
    """Add the gradient of the line from row ``first`` on to ``grad``, and those of the weights."""
    width, length = taps.shape[0], upstream.shape[0]
    last = first + grad.shape[0]
    # Row s of the line reaches the outputs s - W + 1 ... s.
    low, high = max(first - width + 1, 0), min(last, length)
    if high <= low:
        return
    rows = line.rows(low, high + line.lead)
    grad_sums = upstream[low:high].to(taps.dtype)
    if activation is not None:
        sums = _slide(rows, taps, offset)
        grad_sums = torch.ops.aten.silu_backward(grad_sums, sums)
    for tap in range(width):
        begin, end = max(low + tap, first), min(high + tap, last)
        if begin < end:
            part = grad_sums[begin - tap - low : end - tap - low]
            grad[begin - first : end - first].addcmul_(part, taps[tap])
    # Outputs of the rows before `first` were counted with the block before.
    fresh = max(first - low, 0)
    for tap in range(width):
        own = rows[fresh + tap : high - low + tap]
        grad_taps[tap] += (grad_sums[fresh:] * own).sum(dim=0)
    if grad_offset is not None:
        grad_offset += grad_sums[fresh:].sum(dim=0)
