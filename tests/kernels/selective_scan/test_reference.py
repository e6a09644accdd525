"""Tests of the definition of the selective scan."""

from __future__ import annotations

from math import inf, log
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from librehps.kernels.selective_scan.reference import selective_scan_reference
from librehps.testing.tolerances import TOLERANCES, relative_rms

LIMIT = TOLERANCES["kernel_definitions_float64"].limit


def run(
    x: list[float], dt: list[float], *, rate: float = 0.0, **options: Any
) -> tuple[list[float], float]:
    """One head of width one in one group; every key and query is 1."""
    one = torch.ones(len(x), 1, 1, dtype=torch.float64)
    y, state = selective_scan_reference(
        torch.tensor(x, dtype=torch.float64)[:, None, None],
        torch.tensor(dt, dtype=torch.float64)[:, None],
        torch.tensor([rate], dtype=torch.float64),
        one,
        one,
        cu_seqlens=torch.tensor([0, len(x)]),
        **options,
    )
    return y.flatten().tolist(), state.item()


def number(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def test_the_step_sets_how_much_is_kept_and_how_much_is_written() -> None:
    # At rate -log 2 a step of 1 halves the memory, a step of 2 quarters it.
    outputs, state = run([8.0, 3.0], [1.0, 2.0], rate=-log(2))
    assert outputs == pytest.approx([8.0, 8.0 / 4 + 2 * 3.0])
    assert state == pytest.approx(8.0)


def test_without_decay_it_is_a_sum() -> None:
    assert run([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]) == ([1.0, 3.0, 6.0], 6.0)


def test_the_bias_comes_before_softplus_and_the_limits_after() -> None:
    softplus = F.softplus(number(0.7)).item()
    options: dict[str, Any] = {"dt_bias": number(0.2), "dt_softplus": True}
    assert run([1.0], [0.5], **options)[0] == pytest.approx([softplus])
    assert run([1.0], [0.5], dt_limit=(0.0, 0.6), **options)[0] == pytest.approx([0.6])
    assert run([1.0], [0.5], dt_limit=(2.0, inf), **options)[0] == pytest.approx([2.0])
    # Without softplus a negative step is cut off at the default limit.
    assert run([1.0, 1.0], [1.0, -0.5]) == ([1.0, 1.0], 1.0)


def test_what_goes_past_the_memory_is_gated_too_but_not_kept() -> None:
    gate = torch.full((1, 1, 1), 0.3, dtype=torch.float64)
    outputs, state = run([2.0], [0.5], D=number(3.0), z=gate)
    assert outputs == pytest.approx([(1.0 + 6.0) * F.silu(gate).item()])
    assert state == 1.0


def test_heads_share_groups_in_order_and_a_state_is_read() -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, B, C, before = random(1, 4, 3), random(1, 2, 5), random(1, 2, 5), random(1, 4, 5, 3)
    step, rate = random(1, 4).exp(), -random(4).exp()
    y, state = selective_scan_reference(
        x, step, rate, B, C, cu_seqlens=torch.tensor([0, 1]), initial_state=before
    )
    for head in range(4):
        kept = (step[0, head] * rate[head]).exp() * before[0, head]
        memory = kept + torch.outer(B[0, head // 2], step[0, head] * x[0, head])
        assert relative_rms(state[0, head], memory) <= LIMIT
        assert relative_rms(y[0, head], memory.T @ C[0, head // 2]) <= LIMIT


def test_sequences_are_apart_and_dtypes_are_kept() -> None:
    x, B = torch.ones(3, 1, 1), torch.ones(3, 1, 1)
    y, state = selective_scan_reference(
        x.bfloat16(), x[..., 0], torch.zeros(1), B, B, cu_seqlens=torch.tensor([0, 1, 3])
    )
    assert y.flatten().tolist() == [1.0, 1.0, 2.0]
    assert state.flatten().tolist() == [1.0, 2.0]
    assert (y.dtype, state.dtype) == (torch.bfloat16, torch.float32)
