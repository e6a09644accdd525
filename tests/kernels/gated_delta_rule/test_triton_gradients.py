"""Tests of the gradients of the tokens; `test_triton_gated_delta_rule.py` has them all together."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl

from librehps.kernels.gated_delta_rule.reference import NORM_EPS
from librehps.kernels.gated_delta_rule.spans import cut
from librehps.kernels.gated_delta_rule.triton_chunk import load_unit_rows
from librehps.kernels.gated_delta_rule.triton_gradients import store_row_gradients, token_gradients
from librehps.kernels.gated_delta_rule.triton_pack import Pack, Walk
from librehps.kernels.gated_delta_rule.triton_tiles import Tile
from librehps.kernels.triton_rows import launch
from librehps.testing.poison import poisoned_memory
from librehps.testing.tolerances import TOLERANCES, relative_rms

LIMIT = TOLERANCES["delta_rule_triton_float32"].limit


@triton.jit
def _rows_kernel(p_x, p_up, p_grad, SCALE: tl.constexpr, NORMALIZE: tl.constexpr):
    i_row, i_column = tl.arange(0, 16), tl.arange(0, 32)
    m_row, m_column = i_row < 13, i_column < 20
    b_x, b_factor = load_unit_rows(p_x, i_row, m_row, i_column, m_column, 20, SCALE, NORMALIZE)
    i_place = i_row[:, None] * 20 + i_column[None, :]
    mask = m_row[:, None] & m_column[None, :]
    b_up = tl.load(p_up + i_place, mask=mask, other=0.0)
    store_row_gradients(p_grad + i_place, mask, b_up, b_x, b_factor, SCALE, NORMALIZE)


@pytest.mark.parametrize("normalize", [True, False])
def test_the_gradient_of_a_norm(normalize: bool, triton_device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    x, up = (torch.randn(13, 20, generator=generator) for _ in range(2))
    wide = x.double().requires_grad_()
    factor = (wide.square().sum(dim=1, keepdim=True) + NORM_EPS).rsqrt() if normalize else 1.0
    (wanted,) = torch.autograd.grad(0.25 * wide * factor, wide, up.double())
    found = torch.full_like(x, float("nan")).to(triton_device)
    there = (x.to(triton_device), up.to(triton_device))
    launch(_rows_kernel, (1,), *there, found, SCALE=0.25, NORMALIZE=normalize)
    assert relative_rms(found, wanted) <= LIMIT


def test_the_value_heads_of_a_key_head_are_summed(triton_device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(18, 1, 16, generator=generator) for _ in range(2))
    v, grad_o, updates, solved = (torch.randn(18, 2, 20, generator=generator) for _ in range(4))
    g, beta = -torch.rand(18, 2, generator=generator), torch.rand(18, 2, generator=generator)
    states, grad_states = (torch.randn(3, 2, 16, 20, generator=generator) for _ in range(2))

    def run(heads: slice) -> list[torch.Tensor]:
        own = (q, k, *(x[:, heads].contiguous() for x in (v, g, beta)))
        pack = Pack(*(x.to(triton_device) for x in own), normalize=True)
        bounds = torch.tensor([0, 1, 18], device=triton_device)
        chunks = cut(bounds, 16, tokens=18)
        with poisoned_memory():
            grads = tuple(torch.empty_like(x) for x in pack.tensors[:5])
            token_gradients(
                pack,
                Walk(chunks, None, Tile(16, 16, 8)),
                grad_o=grad_o[:, heads].to(triton_device).contiguous(),
                states=states[:, heads].to(triton_device).contiguous(),
                grad_states=grad_states[:, heads].to(triton_device).contiguous(),
                updates=updates[:, heads].to(triton_device).contiguous(),
                solved=solved[:, heads].to(triton_device).contiguous(),
                grads=grads,
                grad_heads=None,
            )
        return [grad.cpu() for grad in grads]

    both, first, second = run(slice(0, 2)), run(slice(0, 1)), run(slice(1, 2))
    for together, one, other in zip(both[:2], first[:2], second[:2], strict=True):
        assert relative_rms(together, one.double() + other.double()) <= LIMIT
    for together, one, other in zip(both[2:], first[2:], second[2:], strict=True):
        assert torch.equal(together, torch.cat([one, other], dim=1))
