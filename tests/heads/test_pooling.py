from __future__ import annotations

import pytest
import torch

from librehps.errors import ConfigError
from librehps.heads import POOLINGS, pool, pooled_tokens
from librehps.heads.pooling import reduce_segments
from librehps.testing.contracts import check_pooling

LENGTHS = [3, 1, 5]


@pytest.fixture
def pack() -> dict[str, torch.Tensor]:
    hidden = torch.randn(sum(LENGTHS), 6, generator=torch.Generator().manual_seed(0))
    cu_seqlens = torch.tensor([0, *LENGTHS]).cumsum(0).to(torch.int32)
    return {
        "hidden": hidden,
        "cu_seqlens": cu_seqlens,
        "pooled_index": cu_seqlens[:-1].long() + torch.tensor([1, 0, 3]),
    }


@pytest.mark.parametrize("name", list(POOLINGS))
def test_every_registered_pooling_keeps_the_contract(name: str) -> None:
    check_pooling(POOLINGS[name])


def test_each_takes_the_right_tokens(pack: dict[str, torch.Tensor]) -> None:
    hidden = pack["hidden"]
    assert torch.equal(pool(**pack, pooling="last"), hidden[[2, 3, 8]])
    assert torch.equal(pool(**pack, pooling="marked"), hidden[[1, 3, 7]])
    expected = torch.stack([part.mean(0) for part in hidden.split(LENGTHS)])
    torch.testing.assert_close(pool(**pack, pooling="mean"), expected)


@pytest.mark.parametrize("name", list(POOLINGS))
def test_the_tokens_that_are_needed_are_those_that_are_taken(
    pack: dict[str, torch.Tensor], name: str
) -> None:
    hidden = pack.pop("hidden")
    tokens = pooled_tokens(**pack, pooling=name)
    assert (tokens is None) == (name == "mean")
    if tokens is not None:
        assert torch.equal(hidden[tokens], pool(hidden, **pack, pooling=name))


@pytest.mark.parametrize("name", list(POOLINGS))
def test_a_batch_without_sequences_pools_to_no_vectors(name: str) -> None:
    hidden = torch.zeros(0, 6, requires_grad=True)
    none = torch.zeros(0, dtype=torch.int64)
    out = pool(hidden, cu_seqlens=torch.tensor([0]), pooled_index=none, pooling=name)
    assert out.shape == (0, 6)
    out.sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.shape == (0, 6)


def test_segments_are_reduced_by_themselves() -> None:
    data = torch.tensor([[1.0], [5.0], [float("inf")]])
    lengths = torch.tensor([2, 1])
    for how, first in (("mean", 3.0), ("sum", 6.0), ("max", 5.0), ("min", 1.0)):
        out = reduce_segments(data, how, lengths=lengths)
        assert out.flatten().tolist() == [first, float("inf")]


def test_mean_is_taken_in_float32(pack: dict[str, torch.Tensor]) -> None:
    # In bfloat16 the sum would stop growing at 256.
    ones = torch.ones(1000, 2, dtype=torch.bfloat16)
    ends = torch.tensor([0, 1000])
    out = pool(ones, cu_seqlens=ends, pooled_index=torch.tensor([0]), pooling="mean")
    assert out.dtype == torch.float32
    assert torch.equal(out, torch.ones(1, 2))


def test_unknown_pooling_is_refused(pack: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ConfigError, match="did you mean 'last'") as caught:
        pool(**pack, pooling="lst")
    assert caught.value.code == "name_unknown"
