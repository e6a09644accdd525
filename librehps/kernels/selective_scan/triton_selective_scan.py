"""The selective scan in triton: what is launched, forward and backward.

Not run on a GPU yet: checked in triton's interpreter, and compiled ahead of time (see README.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import torch
import triton
from torch import Tensor

from librehps.kernels.first_derivative import first_derivative_only
from librehps.kernels.selective_scan.triton_addresses import addresses_bwd_kernel
from librehps.kernels.selective_scan.triton_chunks import chunk_slots
from librehps.kernels.selective_scan.triton_decays import decays_bwd_kernel
from librehps.kernels.selective_scan.triton_outputs import outputs_fwd_kernel
from librehps.kernels.selective_scan.triton_states import states_bwd_kernel, states_fwd_kernel
from librehps.kernels.selective_scan.triton_steps import step_gradients, steps_and_decays
from librehps.kernels.selective_scan.triton_tiles import Tile, tiles_for
from librehps.kernels.selective_scan.triton_values import values_bwd_kernel
from librehps.kernels.triton_rows import launch
from librehps.typing import Float, Int

__all__ = ["selective_scan_triton"]

# Heads of a group whose gradients of B and C one program sums.
_PART = 8


def selective_scan_triton(
    x: Float[Tensor, "T HV V"],
    dt: Float[Tensor, "T HV"],
    A: Float[Tensor, " HV"],
    B: Float[Tensor, "T G K"],
    C: Float[Tensor, "T G K"],
    *,
    cu_seqlens: Int[Tensor, " N_plus_1"],
    D: Float[Tensor, " HV"] | None = None,
    z: Float[Tensor, "T HV V"] | None = None,
    dt_bias: Float[Tensor, " HV"] | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = (0.0, inf),
    initial_state: Float[Tensor, "N HV K V"] | None = None,
    chunk_size: int = 64,
) -> tuple[Float[Tensor, "T HV V"], Float[Tensor, "N HV K V"]]:
    """Compute `librehps.kernels.selective_scan`; the device is not waited for."""
    tensors = (x, dt, A, B, C, D, z, dt_bias, initial_state)
    wanted = any(tensor is not None and tensor.requires_grad for tensor in tensors)
    options = _Options(
        softplus=dt_softplus,
        limit=dt_limit,
        chunk_size=chunk_size,
        keep=wanted and torch.is_grad_enabled(),
    )
    x, B, C = (tensor if tensor.stride(-1) == 1 else tensor.contiguous() for tensor in (x, B, C))
    if z is not None and z.stride(-1) != 1:
        z = z.contiguous()
    small = (
        tensor if tensor is None else tensor.contiguous()
        for tensor in (dt, A, D, dt_bias, initial_state)
    )
    return _Scan.apply(options, cu_seqlens, x, z, B, C, *small)


@dataclass(frozen=True)
class _Options:
    """What is not a tensor.

    Args:
        softplus: Whether the step is a softplus.
        limit: Smallest and largest step.
        chunk_size: Most tokens of a chunk.
        keep: Whether the states before all chunks are kept for a gradient.
    """

    softplus: bool
    limit: tuple[float, float]
    chunk_size: int
    keep: bool

    @property
    def steps(self) -> dict[str, Any]:
        """What the steps are told."""
        return {"softplus": self.softplus, "limit": self.limit, "chunk_size": self.chunk_size}

    def told(self, tile: Tile, x: Tensor, B: Tensor) -> dict[str, Any]:
        """What a launch with this tile is told."""
        precision = tiles_for(x.dtype).precision
        size = self.chunk_size
        return tile.options(B.shape[2], x.shape[2], chunk_size=size, precision=precision)


def _strides(*tensors: Tensor | None) -> tuple[int, ...]:
    """From token to token, and from head to head or group to group."""
    return tuple(
        0 if tensor is None else tensor.stride(dimension)
        for tensor in tensors
        for dimension in (0, 1)
    )


class _Scan(torch.autograd.Function):
    """Forward and gradient."""

    @staticmethod
    def forward(
        ctx: Any, options: _Options, cu_seqlens: Tensor, *tensors: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        x, z, B, C, dt, A, D, dt_bias, initial_state = tensors
        tokens, heads, depth = x.shape
        groups, width = B.shape[1:]
        sequences = cu_seqlens.numel() - 1
        slots = chunk_slots(cu_seqlens, options.chunk_size, tokens=tokens)
        step, decay = steps_and_decays(dt, A, dt_bias, slots, **options.steps)
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        wide = {"dtype": torch.float32, "device": x.device}
        final = torch.empty(sequences, heads, width, depth, **wide)
        states = torch.empty(slots.shape[0], heads, width, depth, **wide)
        tiles = tiles_for(x.dtype)
        told = options.told(tiles.states, x, B)
        launch(
            states_fwd_kernel,
            (sequences * heads * triton.cdiv(depth, told["BV"]),),
            *(x, B, step, decay, initial_state, cu_seqlens, states, final),
            *(heads, heads // groups, *_strides(x, B)),
            **told,
        )
        launch(
            outputs_fwd_kernel,
            (slots.shape[0] * heads,),
            *(x, z, B, C, D, step, decay, slots, states, y),
            *(heads, heads // groups, *_strides(x, z, B, C)),
            **options.told(tiles.chunks, x, B),
        )
        if options.keep:
            ctx.save_for_backward(cu_seqlens, slots, step, decay, states, *tensors)
        ctx.options = options
        ctx.set_materialize_grads(False)
        return y, final

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, *grad_outputs)


@first_derivative_only
def _gradients(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
    cu_seqlens, slots, step, decay, states, *tensors = ctx.saved_tensors
    x, z, B, C, dt, A, D, dt_bias, initial_state = tensors
    options = ctx.options
    grad_y, grad_final = (grad if grad is None else grad.contiguous() for grad in grad_outputs)
    if grad_y is None:
        grad_y = torch.zeros(x.shape, dtype=x.dtype, device=x.device)
    tokens, heads, depth = x.shape
    groups, width = B.shape[1:]
    chunks, per_group = slots.shape[0], heads // groups

    wide = {"dtype": torch.float32, "device": x.device}
    tiles = tiles_for(x.dtype)
    told = options.told(tiles.states, x, B)
    blocks = triton.cdiv(depth, told["BV"])
    strides = _strides(x, z, B, C)

    grad_states = torch.empty_like(states)
    grad_initial = None if initial_state is None else torch.empty_like(initial_state)
    grad_whole = torch.empty(chunks, heads, blocks, **wide)
    launch(
        states_bwd_kernel,
        ((cu_seqlens.numel() - 1) * heads * blocks,),
        *(C, z, decay, cu_seqlens, states, grad_y, grad_final, grad_states, grad_whole),
        *(grad_initial, heads, per_group, *_strides(z, C)),
        **told,
    )

    told = options.told(tiles.chunks, x, B)
    grad_x = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    partial_D = None if D is None else torch.empty(chunks, heads, **wide)
    grad_step, grad_decay, grad_write = (torch.empty(tokens, heads, **wide) for _ in range(3))
    launch(
        values_bwd_kernel,
        (chunks * heads,),
        *(x, z, B, C, D, step, decay, slots, grad_states, grad_y, grad_x, partial_D),
        *(grad_step, grad_write, heads, per_group, *strides),
        **told,
    )
    grad_D = None if D is None or partial_D is None else partial_D.sum(dim=0).to(D.dtype)

    grad_z = None if z is None else torch.empty(z.shape, dtype=z.dtype, device=z.device)
    launch(
        decays_bwd_kernel,
        (chunks * heads,),
        *(x, z, B, C, D, step, decay, slots, states, grad_y, grad_write, grad_whole),
        *(grad_z, grad_decay, heads, per_group, *strides),
        BLOCKS=blocks,
        **told,
    )
    grad_dt, grad_A, grad_bias = step_gradients(
        dt, A, dt_bias, slots, grad_step, grad_decay, **options.steps
    )

    told = options.told(tiles.heads, x, B)
    parts = triton.cdiv(per_group, _PART)
    gradients: list[Tensor] = []
    for written, given, other, memory in ((True, B, C, grad_states), (False, C, B, states)):
        partial = torch.empty(parts, tokens, groups, width, **wide)
        launch(
            addresses_bwd_kernel,
            (chunks, groups * parts, triton.cdiv(width, told["BK"])),
            *(x, z, other, step, decay, slots, memory, grad_y, partial),
            *(tokens, heads, groups, *_strides(x, z, other)),
            WRITTEN=written,
            PART=_PART,
            **told,
        )
        gradients.append(partial.sum(dim=0).to(given.dtype))
    return (
        *(None, None, grad_x, grad_z, *gradients, grad_dt, grad_A, grad_D, grad_bias),
        grad_initial,
    )
