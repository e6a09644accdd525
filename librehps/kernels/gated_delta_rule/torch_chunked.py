"""The gated delta rule in chunks: packing, the loop over chunks, and its gradient.

Sequences are taken in small groups of similar length, chunk after chunk, so that what a step works
on stays in the cache. For the backward pass only the inputs and one state every other chunk are
kept; the rest is computed again: on a CPU, fresh memory costs about what the matmuls do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F

from librehps.kernels.arguments import compute_dtype
from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.gated_delta_rule.torch_chunk_step import (
    Chunk,
    KeyGradients,
    Trace,
    backward_step,
    forward_step,
    prepare,
    state_after,
    trace_step,
)
from librehps.typing import Float, Int, Tensor

__all__ = ["gated_delta_rule_torch"]


def gated_delta_rule_torch(
    q: Float[Tensor, "T HK K"],
    k: Float[Tensor, "T HK K"],
    v: Float[Tensor, "T HV V"],
    g: Float[Tensor, "T HV"],
    beta: Float[Tensor, "T HV"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    initial_state: Float[Tensor, "N HV K V"] | None = None,
    normalize_qk: bool = True,
    A_log: Float[Tensor, " HV"] | None = None,
    dt_bias: Float[Tensor, " HV"] | None = None,
    chunk_size: int = 64,
) -> tuple[Float[Tensor, "T HV V"], Float[Tensor, "N HV K V"]]:
    """Compute `librehps.kernels.gated_delta_rule` with batched matmuls."""
    if A_log is not None and dt_bias is not None:
        # A few numbers a token: autograd's own gradient costs nothing here.
        dtype = compute_dtype(q, k, v, g, beta, A_log, dt_bias)
        g = -A_log.to(dtype).exp() * F.softplus(g.to(dtype) + dt_bias.to(dtype))
        beta = torch.sigmoid(beta.to(dtype))
    bounds: list[int] = cu_seqlens.tolist()
    tensors = (q, k, v, g, beta, initial_state)
    options = _Options(
        bounds=tuple(bounds),
        normalize=normalize_qk,
        chunk_size=chunk_size,
        differentiable=torch.is_grad_enabled()
        and any(tensor is not None and tensor.requires_grad for tensor in tensors),
    )
    return _ChunkedDeltaRule.apply(options, initial_state, q, k, v, g, beta)


@dataclass(frozen=True)
class _Options:
    """What the forward and the backward pass both need to know besides tensors."""

    bounds: tuple[int, ...]
    normalize: bool
    chunk_size: int
    differentiable: bool


@dataclass(frozen=True)
class _Step:
    """The same chunk of the sequences of a group that still have one.

    Args:
        active: How many sequences, the longest first.
        key_heads: HK.
        span: ``(start, end)`` in the pack if the group is a single sequence.
        rows: Token of each place, [active, c]; places after the end repeat the last token.
        real: Which places hold a token, [active, c].
    """

    active: int
    key_heads: int
    span: tuple[int, int] | None
    rows: Tensor
    real: Tensor

    @property
    def batch(self) -> int:
        """Number of (sequence, key head) pairs."""
        return self.active * self.key_heads

    def gather(self, x: Tensor) -> Tensor:
        """Take the tokens of the step out of a pack: [T, ...] to [active, c, ...]."""
        if self.span is not None:
            return x[self.span[0] : self.span[1]][None]
        return x.index_select(0, self.rows.flatten()).view(*self.rows.shape, *x.shape[1:])

    def gather_masked(self, x: Tensor) -> Tensor:
        """Like `gather`, with zeros in the places after the end of a sequence."""
        taken = self.gather(x)
        if self.span is not None:
            return taken
        return taken.where(self.real.view(*self.real.shape, *[1] * (x.dim() - 1)), 0)

    def window(self, pack: Tensor) -> Tensor:
        """Return room for the tokens of the step, [active, c, ...]; `store` must follow."""
        if self.span is not None:
            return pack[self.span[0] : self.span[1]][None]
        return pack.new_empty(*self.rows.shape, *pack.shape[1:])

    def store(self, pack: Tensor, window: Tensor) -> None:
        """Put what was written into a `window` in its place in the pack [T, ...]."""
        if self.span is None:
            pack[self.rows[self.real]] = window[self.real]


@dataclass(frozen=True)
class _Group:
    """Sequences that run side by side, longest first: which of the pack, and where."""

    sequences: tuple[int, ...]
    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    key_heads: int

    def steps(self, chunk_size: int, device: torch.device) -> Iterator[_Step]:
        for offset in range(0, self.lengths[0], chunk_size):
            active = sum(length > offset for length in self.lengths)
            tokens = min(chunk_size, self.lengths[0] - offset)
            if len(self.sequences) == 1:
                start = self.starts[0] + offset
                empty = torch.empty(0, dtype=torch.int64, device=device)
                yield _Step(1, self.key_heads, (start, start + tokens), empty, empty)
                continue
            starts = torch.tensor(self.starts[:active], device=device)[:, None]
            lengths = torch.tensor(self.lengths[:active], device=device)[:, None]
            places = torch.arange(offset, offset + tokens, device=device)[None, :]
            rows = starts + torch.minimum(places, lengths - 1)
            yield _Step(active, self.key_heads, None, rows, places < lengths)


# Keys and values of a step: 16 heads with chunks of 64 x (128 + 128).
_CPU_NUMBERS = 2**18


def _plan(options: _Options, k: Tensor, v: Tensor) -> list[_Group]:
    """Group sequences of similar length so that a step has work for all cores, and not more."""
    key_heads = k.shape[1]
    lengths = [high - low for low, high in pairwise(options.bounds)]
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    # What a step works on stays within a few MB; a GPU wants many more at once.
    room = _CPU_NUMBERS if k.device.type == "cpu" else 64 * _CPU_NUMBERS
    tokens = min(options.chunk_size, max(lengths, default=1))
    of_sequence = key_heads * tokens * (k.shape[2] + v.shape[2])
    size = max(1, room // max(1, of_sequence))
    return [
        _Group(
            sequences=tuple(part),
            starts=tuple(options.bounds[index] for index in part),
            lengths=tuple(lengths[index] for index in part),
            key_heads=key_heads,
        )
        for part in (order[first : first + size] for first in range(0, len(order), size))
    ]


# A state is kept for the backward pass every so many chunks; what lies between is run again,
# while it is still in the cache: 2 is measured 15% faster than 8 for forward and backward together.
_SEGMENT = 2


class _ChunkedDeltaRule(torch.autograd.Function):
    """Forward and gradient over all groups of a pack."""

    @staticmethod
    def forward(
        ctx: Any, options: _Options, initial_state: Tensor | None, *inputs: Tensor
    ) -> tuple[Tensor, Tensor]:
        q, k, v, _, _ = inputs
        outputs = torch.empty_like(v, memory_format=torch.contiguous_format)
        shape = (len(options.bounds) - 1, v.shape[1], k.shape[2], v.shape[2])
        final = v.new_empty(shape, dtype=compute_dtype(*inputs))
        kept: list[Tensor] = []
        with torch.autocast(q.device.type, enabled=False):
            for group in _plan(options, k, v):
                states = _load_states(initial_state, group, like=final, key_heads=q.shape[1])
                for number, step in enumerate(group.steps(options.chunk_size, q.device)):
                    if number and number % _SEGMENT == 0 and options.differentiable:
                        kept.append(
                            torch.stack(
                                [state[: step.batch] for state in states if state is not None]
                            )
                        )
                    chunk = _load_chunk(step, inputs, options)
                    window = step.window(outputs)
                    for head, state in enumerate(states):
                        read, after = forward_step(chunk, head, _rows(state, step))
                        _by_head(window, chunk)[head].copy_(read.view(chunk.values[head].shape))
                        states[head] = after if state is None else state
                    step.store(outputs, window)
                _store_states(final, states, group)
        ctx.save_for_backward(initial_state, *inputs, *kept)
        ctx.options = options
        ctx.set_materialize_grads(False)
        return outputs, final

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@first_derivative_only
def _gradients(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
    initial_state, q, k, v, g, beta, *kept = ctx.saved_tensors
    options: _Options = ctx.options
    inputs = (q, k, v, g, beta)
    grad_output, grad_final = grad_outputs
    if grad_output is None:
        grad_output = torch.zeros_like(v)
    grads = tuple(torch.empty_like(x, memory_format=torch.contiguous_format) for x in inputs)
    shape = (len(options.bounds) - 1, v.shape[1], k.shape[2], v.shape[2])
    grad_initial = v.new_empty(shape, dtype=compute_dtype(*inputs))
    with torch.autocast(q.device.type, enabled=False):
        # The groups are taken in reverse, so the kept states are used up from the end.
        for group in reversed(_plan(options, k, v)):
            grad_states = _load_states(grad_final, group, like=grad_initial, key_heads=q.shape[1])
            steps = list(group.steps(options.chunk_size, q.device))
            for first in reversed(range(0, len(steps), _SEGMENT)):
                states = (
                    list(kept.pop())
                    if first
                    else _load_states(initial_state, group, like=grad_initial, key_heads=q.shape[1])
                )
                segment = steps[first : first + _SEGMENT]
                ran = _run_again(segment, states, inputs, options)
                while ran:
                    step, chunk, traces = ran.pop()
                    grad_states = _backward_chunk(
                        step,
                        chunk,
                        traces,
                        grad_output=grad_output,
                        grad_states=grad_states,
                        grads=grads,
                        normalize=options.normalize,
                    )
            if initial_state is not None:
                _store_states(grad_initial, grad_states, group)
    if initial_state is None:
        return (None, None, *grads)
    return (None, grad_initial.to(initial_state.dtype), *grads)


def _load_chunk(step: _Step, inputs: tuple[Tensor, ...], options: _Options) -> Chunk:
    q, k, v, g, beta = inputs
    # A place without a token has beta 0 and g 0: it writes nothing and nothing decays.
    return prepare(
        step.gather(q),
        step.gather(k),
        step.gather(v),
        g=step.gather_masked(g),
        beta=step.gather_masked(beta),
        normalize=options.normalize,
        dtype=compute_dtype(*inputs),
    )


def _run_again(
    segment: list[_Step],
    states: list[Tensor | None],
    inputs: tuple[Tensor, ...],
    options: _Options,
) -> list[tuple[_Step, Chunk, list[Trace]]]:
    """Repeat the forward pass of a segment, keeping what its backward pass needs."""
    ran: list[tuple[_Step, Chunk, list[Trace]]] = []
    for step in segment:
        chunk = _load_chunk(step, inputs, options)
        traces = [trace_step(chunk, head, _rows(state, step)) for head, state in enumerate(states)]
        ran.append((step, chunk, traces))
        if step is not segment[-1]:
            states = [state_after(chunk, head, trace) for head, trace in enumerate(traces)]
    return ran


def _backward_chunk(
    step: _Step,
    chunk: Chunk,
    traces: list[Trace],
    *,
    grad_output: Tensor,
    grad_states: list[Tensor | None],
    grads: tuple[Tensor, ...],
    normalize: bool,
) -> list[Tensor | None]:
    """Backward of all value heads of a step; writes the gradients of its tokens into ``grads``."""
    incoming = torch.empty(chunk.values.shape, dtype=chunk.q.dtype, device=chunk.q.device)
    incoming.copy_(_by_head(step.gather_masked(grad_output), chunk))
    sums = KeyGradients(*(torch.zeros_like(x) for x in (chunk.q, chunk.k, chunk.qk, chunk.kk)))
    windows = [step.window(grad) for grad in grads]
    befores: list[Tensor | None] = []
    for head, trace in enumerate(traces):
        grad_state = grad_states[head]
        if grad_state is not None and grad_state.shape[0] < chunk.q.shape[0]:
            # Sequences that end with this chunk join those that went on: nothing came back to them.
            rows = chunk.q.shape[0] - grad_state.shape[0]
            grad_state = torch.cat([grad_state, grad_state.new_zeros(rows, *grad_state.shape[1:])])
        of_head, before = backward_step(
            chunk,
            head,
            trace,
            grad_output=incoming[head].view(-1, *incoming.shape[-2:]),
            grad_state=_rows(grad_state, step),
            sums=sums,
        )
        befores.append(before if grad_state is None else grad_state)
        for window, grad in zip(windows[2:], (of_head.v, of_head.g, of_head.beta), strict=True):
            target = _by_head(window, chunk)[head]
            target.copy_(grad.view(target.shape))
    sums.q.baddbmm_(sums.qk, chunk.k)
    sums.k.baddbmm_(sums.qk.transpose(1, 2), chunk.q)
    sums.k.baddbmm_(sums.kk + sums.kk.transpose(1, 2), chunk.k)
    for window, rows, norm, scale, grad in (
        (windows[0], chunk.q, chunk.q_norm, chunk.q.shape[-1] ** -0.5, sums.q),
        (windows[1], chunk.k, chunk.k_norm, 1.0, sums.k),
    ):
        if normalize:
            # y = norm x with norm = scale / sqrt(x² + eps): dx = norm (dy - y (y·dy) / scale²).
            along = (rows * grad).sum(dim=-1, keepdim=True).div_(-(scale**2))
            grad.addcmul_(rows, along)
        window.transpose(1, 2).copy_(grad.mul_(norm).view(window.transpose(1, 2).shape))
    for grad, window in zip(grads, windows, strict=True):
        step.store(grad, window)
    return befores


def _rows(state: Tensor | None, step: _Step) -> Tensor | None:
    """Return the part of a state [n * HK, K, V] that belongs to the sequences of a step."""
    return None if state is None else state[: step.batch]


def _by_head(window: Tensor, chunk: Chunk) -> Tensor:
    """View [n, c, HV, ...] as [R, n, HK, c, ...]."""
    per_key, n, heads, c = chunk.values.shape[:4]
    return window.view(n, c, heads, per_key, *window.shape[3:]).movedim((3, 2), (0, 2))


def _load_states(
    states: Tensor | None, group: _Group, *, like: Tensor, key_heads: int
) -> list[Tensor | None]:
    """Copy the states [N, HV, K, V] of a group into R tensors [n * HK, K, V], if there are any."""
    value_heads, width, depth = like.shape[1:]
    n, per_key = len(group.sequences), value_heads // key_heads
    if states is None:
        return [None] * per_key
    loaded = like.new_empty(per_key, n, key_heads, width, depth)
    for place, index in enumerate(group.sequences):
        source = states[index].reshape(key_heads, per_key, width, depth)
        loaded[:, place].copy_(source.transpose(0, 1))
    return list(loaded.view(per_key, n * key_heads, width, depth))


def _store_states(states: Tensor, loaded: list[Tensor | None], group: _Group) -> None:
    """Undo `_load_states`; ``None`` stands for zeros."""
    width, depth = states.shape[2:]
    for head, state in enumerate(loaded):
        for place, index in enumerate(group.sequences):
            target = states[index].view(-1, len(loaded), width, depth)[:, head]
            if state is None:
                target.zero_()
            else:
                target.copy_(state.view(len(group.sequences), -1, width, depth)[place])
