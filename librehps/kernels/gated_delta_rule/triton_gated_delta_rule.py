"""The gated delta rule in triton: launches, and what is kept from the forward to the backward pass.

Not run on a GPU yet: checked in triton's interpreter, and compiled ahead of time (see README.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.gated_delta_rule.spans import cut, slots, whole_sequences
from librehps.kernels.gated_delta_rule.triton_backward import walk_backward
from librehps.kernels.gated_delta_rule.triton_forward import walk_forward
from librehps.kernels.gated_delta_rule.triton_gradients import token_gradients
from librehps.kernels.gated_delta_rule.triton_pack import Pack, Walk
from librehps.kernels.gated_delta_rule.triton_tiles import Tiles, tiles_for
from librehps.typing import Float, Int, Tensor

__all__ = ["SPAN", "gated_delta_rule_triton"]

SPAN = 256
"""Tokens between two states that are kept for the backward pass; a multiple of every chunk."""


def gated_delta_rule_triton(
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
) -> tuple[Float[Tensor, "T HV V"], Float[Tensor, "N HV K V"]]:
    """Compute `librehps.kernels.gated_delta_rule` for what `triton_pack.unfit` does not refuse.

    Products take their factors in the dtype of ``q``, ``k`` and ``v``; the memory, the decays and
    all sums are float32 (a cumulative decay float64).
    """
    tensors = (q, k, v, g, beta, A_log, dt_bias, initial_state)
    options = _Options(
        tiles=tiles_for(v),
        normalize=normalize_qk,
        differentiable=torch.is_grad_enabled()
        and any(tensor is not None and tensor.requires_grad for tensor in tensors),
    )
    q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
    initial = None if initial_state is None else initial_state.contiguous()
    gates = (x if x is None else x.contiguous() for x in (g, beta, A_log, dt_bias))
    return _GatedDeltaRule.apply(options, cu_seqlens.long(), initial, q, k, v, *gates)


@dataclass(frozen=True)
class _Options:
    """What the forward and the backward pass both need to know besides tensors."""

    tiles: Tiles
    normalize: bool
    differentiable: bool


class _GatedDeltaRule(torch.autograd.Function):
    """Forward and gradient of a pack."""

    @staticmethod
    def forward(
        ctx: Any, options: _Options, bounds: Tensor, initial_state: Tensor | None, *inputs: Any
    ) -> tuple[Tensor, Tensor]:
        pack = Pack(*inputs, normalize=options.normalize)
        sequences = whole_sequences(bounds)
        o = torch.empty_like(pack.v, memory_format=torch.contiguous_format)
        final = pack.new_states(len(sequences), torch.float32)
        kept = first = None
        tile = options.tiles.forward
        if options.differentiable:
            kept = pack.new_states(len(pack.v) // SPAN + len(sequences), torch.float32)
            first = slots(sequences.starts, bounds, SPAN)
        walk_forward(
            pack,
            Walk(sequences, first, tile),
            initial=initial_state,
            o=o,
            final=final,
            states=kept,
            every=SPAN // tile.tokens,
        )
        # Not read again: by it a second derivative finds its way here, and is refused.
        source = initial_state if ctx.needs_input_grad[2] else None
        ctx.save_for_backward(source, bounds, kept, *inputs)
        ctx.options = options
        ctx.initial_dtype = None if initial_state is None else initial_state.dtype
        ctx.set_materialize_grads(False)
        return o, final

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@first_derivative_only
def _gradients(
    ctx: Any, grad_o: Tensor | None, grad_final: Tensor | None
) -> tuple[Tensor | None, ...]:
    _, bounds, kept, *inputs = ctx.saved_tensors
    tiles: Tiles = ctx.options.tiles
    pack = Pack(*inputs, normalize=ctx.options.normalize)
    grad_o = torch.zeros_like(pack.v) if grad_o is None else grad_o
    grad_o = grad_o if grad_o.stride(-1) == 1 else grad_o.contiguous()
    grad_final = None if grad_final is None else grad_final.contiguous()
    tokens, sequences = len(pack.v), whole_sequences(bounds)
    size = tiles.backward.tokens
    chunks = cut(bounds, size, tokens=tokens)
    states, grad_states = (pack.new_states(len(chunks), pack.k.dtype) for _ in range(2))
    updates, solved = (
        torch.empty_like(pack.v, memory_format=torch.contiguous_format) for _ in range(2)
    )
    # The memory between two states that were kept, for all spans side by side.
    spans = cut(bounds, SPAN, tokens=tokens)
    walk_forward(
        pack,
        Walk(spans, slots(spans.starts, bounds, size), tiles.replay),
        initial=kept,
        states=states,
        updates=updates,
    )
    grad_initial = None
    if ctx.initial_dtype is not None:
        grad_initial = pack.new_states(len(sequences), torch.float32)
    walk_backward(
        pack,
        Walk(sequences, slots(sequences.starts, bounds, size), tiles.backward),
        grad_o=grad_o,
        grad_final=grad_final,
        grad_initial=grad_initial,
        grad_states=grad_states,
        solved=solved,
    )
    grads = tuple(torch.empty_like(x, memory_format=torch.contiguous_format) for x in inputs[:5])
    grad_heads = None
    if pack.a_log is not None:
        grad_heads = pack.v.new_zeros(len(chunks), 2, pack.v.shape[1], dtype=torch.float32)
    token_gradients(
        pack,
        Walk(chunks, None, tiles.tokens),
        grad_o=grad_o,
        states=states,
        grad_states=grad_states,
        updates=updates,
        solved=solved,
        grads=grads,
        grad_heads=grad_heads,
    )
    if grad_initial is not None:
        grad_initial = grad_initial.to(ctx.initial_dtype)
    grad_gates: tuple[Tensor | None, ...] = (None, None)
    if grad_heads is not None:
        sums = grad_heads.sum(dim=0)
        grad_gates = tuple(x.to(own.dtype) for x, own in zip(sums, inputs[5:], strict=True))
    return None, None, grad_initial, *grads, *grad_gates
