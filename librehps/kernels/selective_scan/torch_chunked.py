"""The selective scan in chunks: all chunks of a pack at once, and one short loop over states.

Names follow README.md in this folder. The gradient is autograd's, but for that of the decays.
"""

from __future__ import annotations

from math import inf

import torch
import torch.nn.functional as F

from librehps.kernels.arguments import compute_dtype
from librehps.kernels.selective_scan.torch_chunk_table import ChunkTable, chunk_table
from librehps.kernels.selective_scan.torch_decays import chunk_decays
from librehps.typing import Float, Int, Tensor

__all__ = ["selective_scan_torch"]


def selective_scan_torch(
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
    """Compute `librehps.kernels.selective_scan` with batched matmuls."""
    dtype = compute_dtype(x, dt, A, B, C)
    bounds: list[int] = cu_seqlens.tolist()
    with torch.autocast(x.device.type, enabled=False):
        step = dt.to(dtype)
        if dt_bias is not None:
            step = step + dt_bias.to(dtype)
        if dt_softplus:
            step = F.softplus(step)
        y, final = _scan(
            chunk_table(bounds, chunk_size, x.device),
            x.to(dtype),
            step.clamp(*dt_limit),
            A=A.to(dtype),
            B=B.to(dtype),
            C=C.to(dtype),
            initial_state=initial_state,
        )
        if D is not None:
            y = torch.addcmul(y, x.to(dtype), D.to(dtype)[:, None])
        if z is not None:
            y = y * F.silu(z.to(dtype))
        return y.to(x.dtype), final


def _scan(
    table: ChunkTable,
    x: Float[Tensor, "T HV V"],
    step: Float[Tensor, "T HV"],
    *,
    A: Float[Tensor, " HV"],
    B: Float[Tensor, "T G K"],
    C: Float[Tensor, "T G K"],
    initial_state: Float[Tensor, "N HV K V"] | None,
) -> tuple[Float[Tensor, "T HV V"], Float[Tensor, "N HV K V"]]:
    """Compute ``Sᵀ C`` of all tokens, and the last states; all tensors have one dtype."""
    # R heads share a group.
    shared = (B.shape[1], x.shape[1] // B.shape[1])
    # A place without a token has step 0: it writes nothing, and nothing decays.
    steps = table.gather_masked(step).transpose(1, 2)
    log_decay = steps.to(torch.float64) * A.to(torch.float64)[:, None]
    pairs, read, write, whole = chunk_decays(log_decay, x.dtype)
    # [M, HV, c, V] in this order in memory, as the products want it.
    values = table.gather(x).transpose(1, 2).contiguous() * steps[..., None]
    keys, queries = (table.gather(rows).transpose(1, 2) for rows in (B, C))

    scores = (queries @ keys.mT)[:, :, None] * pairs.unflatten(1, shared)
    inner = scores.flatten(1, 2) @ values

    # One product per group: the heads that share its keys side by side.
    written = (values * write[..., None]).unflatten(1, shared).transpose(2, 3).flatten(3)
    added = (keys.mT @ written).unflatten(3, (shared[1], -1))
    before, final = _carry(table, added, whole.unflatten(1, shared), initial_state)
    asked = (queries @ before.flatten(3)).unflatten(3, (shared[1], -1))
    y = torch.addcmul(inner, asked.transpose(2, 3).flatten(1, 2), read[..., None])
    return table.scatter(y.transpose(1, 2)), final.transpose(2, 3).flatten(1, 2)


def _carry(
    table: ChunkTable,
    added: Float[Tensor, "M G K R V"],
    whole: Float[Tensor, "M G R"],
    initial_state: Float[Tensor, "N HV K V"] | None,
) -> tuple[Float[Tensor, "M G K R V"], Float[Tensor, "N G K R V"]]:
    """Hand the states on from chunk to chunk.

    Args:
        table: The chunks.
        added: What each chunk writes, decayed to its end.
        whole: Decay over each chunk.
        initial_state: Before each sequence.

    Returns:
        The state before each chunk, and that after each sequence.
    """
    sequences, shared = table.order.numel(), whole.shape[1:]
    if initial_state is None:
        state = added.new_zeros(sequences, *added.shape[1:])
    else:
        state = initial_state.to(added.dtype).index_select(0, table.order)
        state = state.unflatten(1, shared).transpose(2, 3)
    before: list[Tensor] = []
    ended: list[Tensor] = []
    going_on = (*table.counts[1:], 0)
    parts = zip(added.split(table.counts), whole.split(table.counts), going_on, strict=True)
    for new, keep, following in parts:
        before.append(state)
        state = torch.addcmul(new, state, keep[:, :, None, :, None])
        ended.append(state[following:])
        state = state[:following]
    # The first sequences end last.
    last = torch.cat(ended[::-1]).index_select(0, table.order.argsort())
    return torch.cat(before), last
