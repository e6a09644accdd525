"""The gated delta rule in chunks: packing, the loop over chunks, and its gradient.

Sequences are taken in small groups of similar length, chunk after chunk, so that what a step works
on stays in the cache. Nothing but the inputs is kept for the backward pass, which runs the
recurrence of a group again: on a CPU, fresh memory costs more than the matmuls that it saves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from librehps.kernels.arguments import compute_dtype
from librehps.kernels.gated_delta_rule.torch_chunk_step import (
    Chunk,
    Trace,
    backward_step,
    forward_step,
    prepare,
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
    chunk_size: int = 64,
) -> tuple[Float[Tensor, "T HV V"], Float[Tensor, "N HV K V"]]:
    """Compute `librehps.kernels.gated_delta_rule` with batched matmuls."""
    bounds: list[int] = cu_seqlens.tolist()
    return _ChunkedDeltaRule.apply(
        q, k, v, g, beta, initial_state, tuple(bounds), normalize_qk, chunk_size
    )


@dataclass(frozen=True)
class _Step:
    """The same chunk of the sequences of a group that still have one.

    Args:
        active: How many sequences, the longest first.
        span: ``(start, end)`` in the pack if the group is a single sequence.
        rows: Token of each place, [active, c]; places after the end repeat the last token.
        real: Which places hold a token, [active, c].
    """

    active: int
    span: tuple[int, int] | None
    rows: Tensor
    real: Tensor

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

    def scatter(self, pack: Tensor, taken: Tensor) -> None:
        """Put [active, c, ...] back into a pack [T, ...], casting to its dtype."""
        if self.span is not None:
            pack[self.span[0] : self.span[1]].copy_(taken[0])
        else:
            pack[self.rows[self.real]] = taken[self.real].to(pack.dtype)


@dataclass(frozen=True)
class _Group:
    """Sequences that run side by side, longest first: their numbers in the pack and their extents."""

    sequences: tuple[int, ...]
    starts: tuple[int, ...]
    lengths: tuple[int, ...]

    def steps(self, chunk_size: int, device: torch.device) -> Iterator[_Step]:
        for offset in range(0, self.lengths[0], chunk_size):
            active = sum(length > offset for length in self.lengths)
            tokens = min(chunk_size, self.lengths[0] - offset)
            if len(self.sequences) == 1:
                start = self.starts[0] + offset
                empty = torch.empty(0, dtype=torch.int64, device=device)
                yield _Step(1, (start, start + tokens), empty, empty)
                continue
            starts = torch.tensor(self.starts[:active], device=device)[:, None]
            lengths = torch.tensor(self.lengths[:active], device=device)[:, None]
            places = torch.arange(offset, offset + tokens, device=device)[None, :]
            rows = starts + torch.minimum(places, lengths - 1)
            yield _Step(active, None, rows, places < lengths)


def _plan(bounds: tuple[int, ...], key_heads: int, device: torch.device) -> list[_Group]:
    """Group sequences of similar length so that a step has work for all cores, and not more."""
    # 32 heads a step keep a chunk of 64 x 128 within a few MB; a GPU wants many more at once.
    size = max(1, (32 if device.type == "cpu" else 1024) // key_heads)
    lengths = [high - low for low, high in zip(bounds, bounds[1:], strict=False)]
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    return [
        _Group(
            sequences=tuple(part),
            starts=tuple(bounds[index] for index in part),
            lengths=tuple(lengths[index] for index in part),
        )
        for part in (order[first : first + size] for first in range(0, len(order), size))
    ]


class _ChunkedDeltaRule(torch.autograd.Function):
    """Forward and gradient over all groups of a pack."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        g: Tensor,
        beta: Tensor,
        initial_state: Tensor | None,
        bounds: tuple[int, ...],
        normalize: bool,
        chunk_size: int,
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(q, k, v, g, beta, initial_state)
        ctx.options = (bounds, normalize, chunk_size)
        ctx.set_materialize_grads(False)
        dtype = compute_dtype(q, k, v, g, beta)
        outputs = torch.empty_like(v, memory_format=torch.contiguous_format)
        final = v.new_empty(len(bounds) - 1, v.shape[1], k.shape[2], v.shape[2], dtype=dtype)
        with torch.autocast(q.device.type, enabled=False):
            for group in _plan(bounds, q.shape[1], q.device):
                state = _load_states(initial_state, group, like=final, key_heads=q.shape[1])
                for step in group.steps(chunk_size, q.device):
                    chunk = _load_chunk(step, q, k, v, g=g, beta=beta, normalize=normalize)
                    batch = chunk.qk.shape[0]
                    heads = [
                        forward_step(chunk, head, state[head, :batch], output=True)[0]
                        for head in range(state.shape[0])
                    ]
                    step.scatter(outputs, _token_major(torch.stack(heads), step.active))
                _store_states(final, state, group)
        return outputs, final

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, grad_outputs: Tensor | None, grad_final: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        q, k, v, g, beta, initial_state = ctx.saved_tensors
        bounds, normalize, chunk_size = ctx.options
        dtype = compute_dtype(q, k, v, g, beta)
        if grad_outputs is None:
            grad_outputs = torch.zeros_like(v)
        grads = tuple(
            torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v, g, beta)
        )
        shape = (len(bounds) - 1, v.shape[1], k.shape[2], v.shape[2])
        grad_initial = v.new_empty(shape, dtype=dtype)
        with torch.autocast(q.device.type, enabled=False):
            for group in _plan(bounds, q.shape[1], q.device):
                state = _load_states(initial_state, group, like=grad_initial, key_heads=q.shape[1])
                steps = list(group.steps(chunk_size, q.device))
                traces: list[list[Trace]] = []
                for step in steps:
                    chunk = _load_chunk(step, q, k, v, g=g, beta=beta, normalize=normalize)
                    traces.append(_trace_step(chunk, state))
                grad_state = _load_states(
                    grad_final, group, like=grad_initial, key_heads=q.shape[1]
                )
                for step in reversed(steps):
                    chunk = _load_chunk(step, q, k, v, g=g, beta=beta, normalize=normalize)
                    _backward_chunk(
                        step,
                        chunk,
                        traces.pop(),
                        grad_outputs=grad_outputs,
                        grad_state=grad_state,
                        grads=grads,
                        normalize=normalize,
                    )
                _store_states(grad_initial, grad_state, group)
        if initial_state is None:
            return (*grads, None, None, None, None)
        return (*grads, grad_initial.to(initial_state.dtype), None, None, None)


def _load_chunk(
    step: _Step, q: Tensor, k: Tensor, v: Tensor, *, g: Tensor, beta: Tensor, normalize: bool
) -> Chunk:
    # A place without a token has beta 0 and g 0: it writes nothing and nothing decays.
    return prepare(
        step.gather(q),
        step.gather(k),
        step.gather(v),
        g=step.gather_masked(g),
        beta=step.gather_masked(beta),
        normalize=normalize,
        dtype=compute_dtype(q, k, v, g, beta),
    )


def _trace_step(chunk: Chunk, state: Tensor) -> list[Trace]:
    batch = chunk.qk.shape[0]
    traces: list[Trace] = []
    for head in range(state.shape[0]):
        before = state[head, :batch].clone()
        _, trace = forward_step(chunk, head, state[head, :batch], output=False)
        traces.append(Trace(state=before, update=trace.update, inverse=trace.inverse))
    return traces


def _backward_chunk(
    step: _Step,
    chunk: Chunk,
    traces: list[Trace],
    *,
    grad_outputs: Tensor,
    grad_state: Tensor,
    grads: tuple[Tensor, ...],
    normalize: bool,
) -> None:
    """Backward of all value heads of a step; writes the gradients of its tokens into ``grads``."""
    c, batch, group = chunk.tokens, chunk.qk.shape[0], len(traces)
    wanted = step.gather_masked(grad_outputs).view(
        step.active, c, -1, group, chunk.values.shape[-1]
    )
    incoming = torch.empty_like(chunk.values)
    incoming.view(group, step.active, -1, c, incoming.shape[-1]).copy_(
        wanted.permute(3, 0, 2, 1, 4)
    )
    grad_qk = torch.zeros_like(chunk.qk)
    grad_scores = torch.zeros_like(chunk.scores)
    heads = [
        backward_step(
            chunk,
            head,
            trace,
            grad_output=incoming[head],
            grad_state=grad_state[head, :batch],
            grad_qk=grad_qk,
            grad_scores=grad_scores,
        )
        for head, trace in enumerate(traces)
    ]
    grad_qk.baddbmm_(grad_scores, chunk.keys)
    grad_qk[:, c:] += torch.bmm(grad_scores.transpose(1, 2), chunk.qk)
    for target, part, norm, scale in (
        (grads[0], slice(0, c), chunk.q_norm, chunk.qk.shape[-1] ** -0.5),
        (grads[1], slice(c, None), chunk.k_norm, 1.0),
    ):
        direction, grad = chunk.qk[:, part], grad_qk[:, part]
        if normalize:
            # With y = x * norm and norm = scale * rsqrt(x² + eps): dx = norm (dy - y (y dy) / scale²).
            along = (direction * grad).sum(dim=-1, keepdim=True).div_(-(scale**2))
            grad = torch.addcmul(grad, direction, along)
        step.scatter(target, _token_major((grad * norm)[None], step.active))
    step.scatter(grads[2], _token_major(torch.stack([head.v for head in heads]), step.active))
    for target, parts in (
        (grads[3], [head.g for head in heads]),
        (grads[4], [head.beta for head in heads]),
    ):
        step.scatter(target, _token_major(torch.stack(parts)[..., None], step.active)[..., 0])


def _token_major(x: Tensor, active: int) -> Tensor:
    """Turn [R, active * HK, c, D] into [active, c, HK * R, D]."""
    group, batch, c, width = x.shape
    heads = batch // active
    x = x.view(group, active, heads, c, width).permute(1, 3, 2, 0, 4)
    return x.reshape(active, c, heads * group, width)


def _load_states(states: Tensor | None, group: _Group, *, like: Tensor, key_heads: int) -> Tensor:
    """Copy the states [N, HV, K, V] of a group, or zeros, into [R, n * HK, K, V]."""
    value_heads, width, depth = like.shape[1:]
    n, per_key = len(group.sequences), value_heads // key_heads
    if states is None:
        return like.new_zeros(per_key, n * key_heads, width, depth)
    loaded = like.new_empty(per_key, n, key_heads, width, depth)
    for place, index in enumerate(group.sequences):
        source = states[index].view(key_heads, per_key, width, depth)
        loaded[:, place].copy_(source.transpose(0, 1))
    return loaded.view(per_key, n * key_heads, width, depth)


def _store_states(states: Tensor, loaded: Tensor, group: _Group) -> None:
    """Undo `_load_states`."""
    per_key, batch, width, depth = loaded.shape
    n = len(group.sequences)
    heads = batch // n
    for place, index in enumerate(group.sequences):
        target = states[index].view(heads, per_key, width, depth)
        target.copy_(loaded.view(per_key, n, heads, width, depth)[:, place].transpose(0, 1))
