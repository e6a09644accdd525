"""Tests of the decays within a chunk."""

from __future__ import annotations

import pytest
import torch

from librehps.kernels.selective_scan.torch_decays import chunk_decays
from librehps.testing.tolerances import TOLERANCES, relative_rms

DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)


def log_decays(size: int, strength: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    draw = torch.rand(2, 3, size, generator=generator, dtype=torch.float64)
    return -draw * strength


def plain(log_decay: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Sums over the tokens between, without any difference of sums."""
    size = log_decay.shape[-1]
    place = torch.arange(size)
    i, j, t = place[:, None, None], place[:, None], place
    between = ((j < t) & (t <= i)).double()
    pairs = torch.einsum("mht,ijt->mhij", log_decay, between).exp().tril()
    read = torch.einsum("mht,it->mhi", log_decay, (t <= j).double()).exp()
    write = torch.einsum("mht,it->mhi", log_decay, (t > j).double()).exp()
    return pairs, read, write, log_decay.sum(-1).exp()


@DTYPES
@pytest.mark.parametrize("size", [1, 2, 17, 64])
@pytest.mark.parametrize("strength", [0.0, 0.1, 20.0])
def test_decays_and_their_gradient_are_those_of_sums(
    size: int, strength: float, dtype: torch.dtype
) -> None:
    given, wanted = (log_decays(size, strength).requires_grad_() for _ in range(2))
    generator = torch.Generator().manual_seed(1)
    totals = [torch.zeros((), dtype=torch.float64)] * 2
    limit = TOLERANCES[f"selective_scan_{str(dtype).removeprefix('torch.')}"].limit
    for actual, expected in zip(chunk_decays(given, dtype), plain(wanted), strict=True):
        assert actual.dtype == dtype
        assert actual.max() <= 1
        # Cast, because what is too small for the dtype is zero.
        assert relative_rms(actual, expected.to(dtype)) <= limit
        weight = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
        totals = [totals[0] + (actual * weight).sum(), totals[1] + (expected * weight).sum()]
    (grad,), (right,) = (
        torch.autograd.grad(total, [leaf])
        for total, leaf in zip(totals, (given, wanted), strict=True)
    )
    assert grad.dtype == torch.float64
    assert relative_rms(grad, right) <= limit


@DTYPES
def test_a_gradient_that_vanishes_does_so_to_the_last_digit(dtype: torch.dtype) -> None:
    log_decay = torch.full((1, 1, 64), -50.0, dtype=torch.float64, requires_grad=True)
    pairs = chunk_decays(log_decay, dtype)[0]
    pairs.backward(torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)).to(dtype))
    assert log_decay.grad is not None
    # Each token's own decay is in 64 pairs at most, each exp(-50) or less.
    assert log_decay.grad.abs().max() < 64 * 5 * 1.93e-22


@pytest.mark.parametrize("value", [-1e4, -1e30, float("-inf")])
def test_what_is_forgotten_at_once_does_not_spoil_what_follows(value: float) -> None:
    log_decay = log_decays(9, 1.0)
    log_decay[..., 4] = value
    pairs, read, write, whole = chunk_decays(log_decay, torch.float64)
    assert not pairs[..., 4:, :4].any()
    assert not read[..., 4:].any()
    assert not write[..., :4].any()
    assert not whole.any()
    own = plain(log_decay[..., 5:])
    assert relative_rms(pairs[..., 5:, 5:], own[0]) <= 1e-12
    assert relative_rms(write[..., 5:], own[2]) <= 1e-12


def test_a_second_derivative_is_refused() -> None:
    log_decay = log_decays(3, 1.0).requires_grad_()
    total = sum(part.square().sum() for part in chunk_decays(log_decay, torch.float64))
    assert isinstance(total, torch.Tensor)
    (grad,) = torch.autograd.grad(total, log_decay, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()
