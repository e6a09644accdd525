"""Tests of what the forward walk writes besides its outputs: states on the way, and updates."""

from __future__ import annotations

import torch
from torch import Tensor

from librehps.kernels.gated_delta_rule.reference import gated_delta_rule_reference
from librehps.kernels.gated_delta_rule.spans import Spans
from librehps.kernels.gated_delta_rule.triton_forward import walk_forward
from librehps.kernels.gated_delta_rule.triton_pack import Pack, Walk
from librehps.kernels.gated_delta_rule.triton_tiles import Tile
from librehps.testing.poison import poisoned_memory
from librehps.testing.tolerances import TOLERANCES, relative_rms

LIMIT = TOLERANCES["delta_rule_triton_float32"].limit
TOKENS = 41


def inputs() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(TOKENS, 1, 16, generator=generator) for _ in range(2))
    v = torch.randn(TOKENS, 2, 20, generator=generator)
    g = -torch.rand(TOKENS, 2, generator=generator)
    return [q, k, v, g, torch.rand(TOKENS, 2, generator=generator)]


def state_at(given: list[Tensor], first: int, last: int, state: Tensor) -> Tensor:
    """What the definition remembers of tokens ``first`` to ``last``, [HV, K, V]."""
    if first == last:
        return state.double()
    bounds = torch.tensor([0, last - first])
    own = [tensor[first:last].double() for tensor in given]
    return gated_delta_rule_reference(*own, cu_seqlens=bounds, initial_state=state[None].double())[
        1
    ][0]


def test_states_and_updates_on_the_way(triton_device: torch.device) -> None:
    given = inputs()
    initial = torch.randn(2, 2, 16, 20, generator=torch.Generator().manual_seed(1))
    there = [tensor.to(triton_device) for tensor in (*given, initial)]
    pack = Pack(*there[:5], normalize=True)
    # Two spans with a gap, the states of the first behind those of the second; an empty one.
    bounds = torch.tensor([[0, 20, 41], [18, 41, 41]], device=triton_device)
    walk = Walk(Spans(*bounds), torch.tensor([2, 0, 9], device=triton_device), Tile(16, 16, 8))
    with poisoned_memory():
        states = pack.new_states(4, torch.float32)
        updates = torch.empty_like(pack.v)
        full = torch.cat([there[5], there[5][:1]])
        walk_forward(pack, walk, initial=full, states=states, updates=updates)
    wanted = [
        (2, state_at(given, 0, 0, initial[0])),
        (3, state_at(given, 0, 16, initial[0])),
        (0, state_at(given, 20, 20, initial[1])),
        (1, state_at(given, 20, 36, initial[1])),
    ]
    for slot, state in wanted:
        assert relative_rms(states[slot], state) <= LIMIT, slot
    # A state is the one before, decayed, and what was written since.
    k = given[1][:16, 0].double()
    k = k / (k.square().sum(dim=1, keepdim=True) + 1e-6).sqrt()
    total = given[3][:16].double().cumsum(dim=0)
    later = (total[-1] - total).exp()
    written = torch.einsum("tk,th,thv->hkv", k, later, updates[:16].double().cpu())
    before = initial[0].double() * total[-1].exp()[:, None, None]
    assert relative_rms(states[3], before + written) <= LIMIT
    assert updates[18:20].isnan().all()


def test_every_other_state(triton_device: torch.device) -> None:
    given = [tensor.to(triton_device) for tensor in inputs()]
    pack = Pack(*given, normalize=True)
    spans = Spans(*torch.tensor([[0], [TOKENS]], device=triton_device))
    first = torch.zeros(1, dtype=torch.int64, device=triton_device)
    with poisoned_memory():
        every, other = (pack.new_states(count, torch.float32) for count in (3, 2))
        final = pack.new_states(1, torch.float32)
        for states, step in ((every, 1), (other, 2)):
            walk = Walk(spans, first, Tile(16, 16, 8))
            walk_forward(pack, walk, initial=None, states=states, final=final, every=step)
    assert torch.equal(every[::2], other)
    assert not every[0].any()
    zeros = torch.zeros(2, 16, 20)
    wanted = state_at([tensor.cpu() for tensor in given], 0, TOKENS, zeros)
    assert relative_rms(final[0], wanted) <= LIMIT
