"""Tests of the walk back: the gradient of the memory between chunks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from librehps.kernels.gated_delta_rule.reference import gated_delta_rule_reference
from librehps.kernels.gated_delta_rule.spans import Spans
from librehps.kernels.gated_delta_rule.triton_backward import walk_backward
from librehps.kernels.gated_delta_rule.triton_pack import Pack, Walk
from librehps.kernels.gated_delta_rule.triton_tiles import Tile
from librehps.testing.poison import poisoned_memory
from librehps.testing.tolerances import TOLERANCES, relative_rms

LIMIT = TOLERANCES["delta_rule_triton_float32"].limit
TOKENS = 37


def gradient_at(given: list[Tensor], first: int, grad_o: Tensor, grad_final: Tensor) -> Tensor:
    """Gradient of the memory before token ``first`` by the definition, [HV, K, V].

    The gradient does not depend on the memory: the definition is linear in it.
    """
    state = torch.zeros(1, *grad_final.shape, dtype=torch.float64, requires_grad=True)
    own = [tensor[first:].double() for tensor in given]
    bounds = torch.tensor([0, len(own[0])])
    out = gated_delta_rule_reference(*own, cu_seqlens=bounds, initial_state=state)
    upstream = [grad_o[first:].double(), grad_final[None].double()]
    return torch.autograd.grad(out, state, upstream)[0][0]


@pytest.mark.parametrize("with_final", [True, False], ids=["final", "o_alone"])
def test_the_gradient_of_the_memory_after_every_chunk(
    with_final: bool, triton_device: torch.device
) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(TOKENS, 1, 16, generator=generator) for _ in range(2))
    v, grad_o = (torch.randn(TOKENS, 2, 20, generator=generator) for _ in range(2))
    g = -torch.rand(TOKENS, 2, generator=generator)
    given = [q, k, v, g, torch.rand(TOKENS, 2, generator=generator)]
    grad_final = torch.randn(2, 16, 20, generator=generator) * with_final
    pack = Pack(*(tensor.to(triton_device) for tensor in given), normalize=True)
    spans = Spans(*torch.tensor([[0], [TOKENS]], device=triton_device))
    first = torch.ones(1, dtype=torch.int64, device=triton_device)
    with poisoned_memory():
        grad_states, grad_initial = (pack.new_states(count, torch.float32) for count in (4, 1))
        solved = torch.empty_like(pack.v)
        walk_backward(
            pack,
            Walk(spans, first, Tile(16, 16, 8)),
            grad_o=grad_o.to(triton_device),
            grad_final=grad_final[None].to(triton_device) if with_final else None,
            grad_initial=grad_initial,
            grad_states=grad_states,
            solved=solved,
        )
    assert grad_states[0].isnan().all()
    assert relative_rms(grad_initial[0], gradient_at(given, 0, grad_o, grad_final)) <= LIMIT
    for slot, token in ((1, 16), (2, 32)):
        wanted = gradient_at(given, token, grad_o, grad_final)
        assert relative_rms(grad_states[slot], wanted) <= LIMIT, slot
    assert torch.equal(grad_states[3].cpu(), grad_final)
    # The values have the gradient beta Y.
    own = [tensor.double() for tensor in given]
    own[2].requires_grad_()
    out = gated_delta_rule_reference(*own, cu_seqlens=torch.tensor([0, TOKENS]))
    upstream = [grad_o.double(), grad_final[None].double()]
    (grad_v,) = torch.autograd.grad(out, own[2], upstream)
    assert relative_rms(solved.cpu() * given[4][..., None], grad_v) <= LIMIT
