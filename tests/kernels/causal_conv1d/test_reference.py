"""Tests of the definition of the causal convolution."""

from __future__ import annotations

import torch

from librehps.kernels.causal_conv1d.reference import causal_conv1d_reference


def test_the_last_tap_meets_the_current_token_and_sequences_are_apart() -> None:
    x = torch.tensor([[1.0], [2.0], [10.0]], dtype=torch.float64)
    weight = torch.tensor([[100.0, 1.0]], dtype=torch.float64)
    y, state = causal_conv1d_reference(x, weight, cu_seqlens=torch.tensor([0, 2, 3]))
    assert y.flatten().tolist() == [1.0, 102.0, 10.0]
    assert state.flatten().tolist() == [2.0, 10.0]


def test_the_bias_is_added_before_the_activation() -> None:
    x, bias = torch.tensor([[1.0], [-3.0]]).double(), torch.tensor([0.5]).double()
    weight = torch.tensor([[0.0, 2.0]], dtype=torch.float64)
    y, state = causal_conv1d_reference(
        x, weight, cu_seqlens=torch.tensor([0, 2]), bias=bias, activation="silu"
    )
    sums = torch.tensor([2.5, -5.5], dtype=torch.float64)
    torch.testing.assert_close(y.flatten(), torch.nn.functional.silu(sums))
    assert state.flatten().tolist() == [-3.0]


def test_a_state_is_what_came_before() -> None:
    x = torch.arange(1.0, 7.0).double()[:, None]
    weight = torch.tensor([[1.0, 10.0, 100.0]], dtype=torch.float64)
    whole, end = causal_conv1d_reference(
        x, weight, cu_seqlens=torch.tensor([0, 6]), activation="silu"
    )
    head, state = causal_conv1d_reference(
        x[:1], weight, cu_seqlens=torch.tensor([0, 1]), activation="silu"
    )
    assert state.flatten().tolist() == [0.0, 1.0]
    tail, final = causal_conv1d_reference(
        x[1:],
        weight,
        cu_seqlens=torch.tensor([0, 5]),
        initial_state=state,
        activation="silu",
    )
    assert torch.equal(torch.cat([head, tail]), whole)
    assert torch.equal(final, end)
