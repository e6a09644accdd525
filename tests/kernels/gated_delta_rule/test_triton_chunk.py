"""Tests of the algebra of a chunk that the triton kernels share."""

from __future__ import annotations

import math

import pytest
import torch
import triton
import triton.language as tl

from librehps.kernels.gated_delta_rule.reference import NORM_EPS
from librehps.kernels.gated_delta_rule.triton_chunk import (
    invert_unit_triangular,
    load_gates,
    load_head,
    load_unit_rows,
    pair_decays,
    sum_decays,
    unit_products,
)
from librehps.kernels.triton_rows import launch
from librehps.testing.tolerances import TOLERANCES, relative_rms

LIMIT = TOLERANCES["delta_rule_triton_float32"].limit


@triton.jit
def _invert_kernel(p_part, p_inverse, BT: tl.constexpr):
    i_place = tl.arange(0, BT)[:, None] * BT + tl.arange(0, BT)[None, :]
    b_inverse = invert_unit_triangular(tl.load(p_part + i_place), BT, "ieee")
    tl.store(p_inverse + i_place, b_inverse)


@triton.jit
def _decays_kernel(p_g, p_pairs, p_turned, p_read, p_write, tokens, BT: tl.constexpr):
    i_chunk = tl.arange(0, BT)
    b_g = tl.load(p_g + i_chunk, mask=i_chunk < tokens, other=0.0)
    b_high, b_low, b_read, b_write, _ = sum_decays(b_g)
    i_place = i_chunk[:, None] * BT + i_chunk[None, :]
    tl.store(p_pairs + i_place, pair_decays(b_high, b_low, BT, False))
    tl.store(p_turned + i_place, pair_decays(b_high, b_low, BT, True))
    tl.store(p_read + i_chunk, b_read)
    tl.store(p_write + i_chunk, b_write)


@triton.jit
def _gates_kernel(p_g, p_beta, p_a_log, p_dt_bias, p_found, tokens):
    i_chunk = tl.arange(0, 16)
    # From the second head on: the first one's numbers lie between.
    rate, bias = load_head(p_a_log, p_dt_bias, 1)
    found = load_gates(p_g + 1, p_beta + 1, p_a_log, rate, bias, i_chunk, i_chunk < tokens, 2)
    for place in tl.static_range(4):
        tl.store(p_found + place * 16 + i_chunk, found[place])


@triton.jit
def _products_kernel(p_x, p_y, p_products, PRECISION: tl.constexpr):
    i_row, i_column = tl.arange(0, 16), tl.arange(0, 64)
    m_row, m_column = i_row < 13, i_column < 40
    b_x, b_x_factor = load_unit_rows(p_x, i_row, m_row, i_column, m_column, 40, 0.5, True)
    b_y, b_y_factor = load_unit_rows(p_y, i_row, m_row, i_column, m_column, 40, 1.0, False)
    b_products = unit_products(
        b_x, b_x_factor, p_x, b_y, b_y_factor, p_y, i_row, m_row, 40, 40, 40, PRECISION
    )
    tl.store(p_products + i_row[:, None] * 16 + i_row[None, :], b_products)


@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("upper", [False, True], ids=["lower", "upper"])
@pytest.mark.parametrize("kind", ["random", "parallel"])
def test_the_inverse(size: int, upper: bool, kind: str, triton_device: torch.device) -> None:
    generator = torch.Generator().manual_seed(size)
    # All keys parallel and rate 1: a sum of powers would lose all digits in binomials.
    part = (
        torch.ones(size, size)
        if kind == "parallel"
        else torch.rand(size, size, generator=generator)
    )
    part = part.triu(1) if upper else part.tril(-1)
    wanted = torch.linalg.inv(torch.eye(size).double() + part)
    found = torch.full_like(part, float("nan")).to(triton_device)
    launch(_invert_kernel, (1,), part.to(triton_device), found, BT=size)
    assert relative_rms(found, wanted) <= LIMIT


@pytest.mark.parametrize("strong", [-0.5, -800.0, -5000.0, -math.inf])
def test_decays_keep_their_digits_after_a_strong_one(
    strong: float, triton_device: torch.device
) -> None:
    g = -torch.rand(12, generator=torch.Generator().manual_seed(0)) / 20
    g[5] = strong
    found = [torch.full((16, 16), float("nan")) for _ in range(2)]
    found += [torch.full((16,), float("nan")) for _ in range(2)]
    found = [tensor.to(triton_device) for tensor in found]
    launch(_decays_kernel, (1,), g.to(triton_device), *found, 12, BT=16)
    steps = torch.cat([g, torch.zeros(4)]).double()
    pairs = torch.zeros(16, 16, dtype=torch.float64)
    for i in range(16):
        for j in range(i + 1):
            pairs[i, j] = steps[j + 1 : i + 1].sum().exp()
    wanted = [pairs, pairs.T, steps.cumsum(0).exp(), pairs[15]]
    for actual, expected in zip(found, wanted, strict=True):
        assert relative_rms(actual, expected) <= LIMIT


def test_a_decay_that_is_not_a_number_is_not_taken_for_the_floor(
    triton_device: torch.device,
) -> None:
    g = torch.full((16,), float("nan"), device=triton_device)
    found = [torch.empty(size, device=triton_device) for size in ((16, 16), (16, 16), 16, 16)]
    launch(_decays_kernel, (1,), g, *found, 16, BT=16)
    assert found[2].isnan().all()


@pytest.mark.parametrize("made", [True, False], ids=["from_a_and_b", "as_given"])
def test_gates_and_their_slopes(made: bool, triton_device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (8 * torch.randn(13, 2, generator=generator) for _ in range(2))
    a_log, dt_bias = (torch.randn(2, generator=generator) for _ in range(2))
    found = torch.full((4, 16), float("nan"), device=triton_device)
    there = [x.to(triton_device) for x in (a, b)]
    heads = [x.to(triton_device) if made else None for x in (a_log, dt_bias)]
    launch(_gates_kernel, (1,), *there, *heads, found, 13)
    own = [x[:, 1].double().requires_grad_() for x in (a, b)]
    wanted = list(own)
    if made:
        step = torch.logaddexp(own[0] + dt_bias[1].double(), torch.zeros(()).double())
        wanted = [-a_log[1].double().exp() * step, own[1].sigmoid()]
    slopes = torch.autograd.grad([x.sum() for x in wanted], own)
    for actual, expected in zip(found, (*wanted, *slopes), strict=True):
        torch.testing.assert_close(
            actual[:13].double().cpu(), expected.detach(), rtol=1e-5, atol=1e-30
        )
    # Who does not exist keeps all, and writes nothing.
    assert not found[:2, 13:].any()


@pytest.mark.parametrize("precision", ["ieee", "tf32x3"])
def test_rows_and_their_products(precision: str, triton_device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(13, 40, generator=generator) for _ in range(2))
    found = torch.full((16, 16), float("nan"), device=triton_device)
    launch(
        _products_kernel, (1,), x.to(triton_device), y.to(triton_device), found, PRECISION=precision
    )
    wide = x.double()
    unit = 0.5 * wide / (wide.square().sum(dim=1, keepdim=True) + NORM_EPS).sqrt()
    assert relative_rms(found[:13, :13], unit @ y.double().T) <= LIMIT
    # Rows that do not exist are zeros, whatever lies behind the last one.
    assert not found[13:].any()
    assert not found[:, 13:].any()
