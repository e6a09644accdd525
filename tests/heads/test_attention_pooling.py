from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from librehps.errors import ConfigError
from librehps.heads import AttentionPoolingHead, HeadOutput, Sequences
from librehps.heads.attention_pooling import attention_pool
from librehps.testing.tolerances import TOLERANCES, relative_rms

WIDTH = 7
LENGTHS = (5, 1, 33, 2)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def bounds(lengths: tuple[int, ...]) -> torch.Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


def sharp(**changes: Any) -> AttentionPoolingHead:
    """A head whose weights differ much from token to token, and whose sigmas are not all 1."""
    head = AttentionPoolingHead(hidden_size=WIDTH, **changes)
    with torch.no_grad():
        for number, parameter in enumerate(head.parameters()):
            parameter.copy_(random(*parameter.shape, seed=number))
        head.queries.mul_(4.0)
    return head


def definition(
    head: AttentionPoolingHead, hidden: torch.Tensor, lengths: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and sigma of a linear head in float64, sequence by sequence and query by query."""
    queries = head.queries.double()
    weight, bias = head.readout.weight.double(), head.readout.bias.double()
    means, sigmas = [], []
    for part in hidden.double().split(lengths):
        pooled = []
        for query in queries:
            weights = torch.softmax((part @ query) / math.sqrt(part.shape[1]), dim=0)
            pooled.append(sum(w * h for w, h in zip(weights, part, strict=True)))
        out = weight @ torch.cat(pooled) + bias
        mean, raw = out.chunk(2)
        means.append(mean)
        sigmas.append(torch.log1p(raw.exp()) + 1e-3)
    return torch.stack(means), torch.stack(sigmas)


@pytest.mark.parametrize("queries", [None, 1, 3])
def test_scores_are_those_of_the_definition(queries: int | None) -> None:
    head = sharp(queries=queries)
    hidden = random(sum(LENGTHS), WIDTH, seed=9)
    mean, sigma = definition(head, hidden, LENGTHS)
    out = head(Sequences(hidden, bounds(LENGTHS)))
    assert relative_rms(out.mean, mean) <= TOLERANCES["heads_float32"].limit
    assert relative_rms(out.sigma, sigma) <= TOLERANCES["heads_float32"].limit
    exact = sharp(queries=queries).double()(Sequences(hidden.double(), bounds(LENGTHS)))
    assert relative_rms(exact.mean, mean) <= TOLERANCES["heads_float64"].limit
    assert relative_rms(exact.sigma, sigma) <= TOLERANCES["heads_float64"].limit


def test_gradients_are_those_of_the_definition() -> None:
    def total(mean: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return (mean * random(4, 4, seed=3).double()).sum() + sigma.square().sum()

    hidden = random(sum(LENGTHS), WIDTH, seed=9).double().requires_grad_()
    head = sharp().double()
    inputs = [hidden, *head.parameters()]
    out = head(Sequences(hidden, bounds(LENGTHS)))
    ours = torch.autograd.grad(total(out.mean, out.sigma), inputs)
    theirs = torch.autograd.grad(total(*definition(head, hidden, LENGTHS)), inputs)
    for own, other in zip(ours, theirs, strict=True):
        assert relative_rms(own, other) <= TOLERANCES["heads_float64"].limit


@settings(max_examples=50)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6).map(tuple),
    queries=st.integers(1, 5),
    size=st.sampled_from([0.0, 1e-3, 1.0, 30.0, 1e4]),
    seed=st.integers(0, 2**32),
)
def test_pooling_is_a_softmax_of_each_sequence(
    lengths: tuple[int, ...], queries: int, size: float, seed: int
) -> None:
    total = sum(lengths)
    scores = size * random(total, queries, seed=seed, dtype=torch.float64)
    values = random(total, 3, seed=seed + 1, dtype=torch.float64)
    pooled = attention_pool(scores, values, cu_seqlens=bounds(lengths))
    expected = torch.stack(
        [
            torch.softmax(part, dim=0).T @ own
            for part, own in zip(scores.split(lengths), values.split(lengths), strict=True)
        ]
    )
    assert relative_rms(pooled, expected) <= TOLERANCES["heads_float64"].limit


def test_the_backward_pass_is_that_of_the_forward_pass() -> None:
    scores = random(6, 2, dtype=torch.float64).requires_grad_()
    values = random(6, 3, seed=1, dtype=torch.float64).requires_grad_()
    ends = torch.tensor([0, 1, 4, 6])
    assert torch.autograd.gradcheck(
        lambda *inputs: attention_pool(*inputs, cu_seqlens=ends), (scores, values)
    )
    # Without a gradient to the backbone, that to the queries stays.
    (alone,) = torch.autograd.grad(
        attention_pool(scores, values.detach(), cu_seqlens=ends).square().sum(), scores
    )
    (both,) = torch.autograd.grad(
        attention_pool(scores, values, cu_seqlens=ends).square().sum(), scores
    )
    assert torch.equal(alone, both)


def test_neighbours_do_not_change_a_bit() -> None:
    head = sharp()
    hidden = random(sum(LENGTHS), WIDTH, seed=9)
    whole = head(Sequences(hidden, bounds(LENGTHS))).mean
    loud = hidden.clone()
    loud[:6], loud[39:] = 1e30, float("inf")
    assert torch.equal(head(Sequences(loud, bounds(LENGTHS))).mean[2], whole[2])
    # Pooling itself gives the same bits for a sequence that is alone.
    scores = hidden @ head.queries.T
    packed = attention_pool(scores, hidden, cu_seqlens=bounds(LENGTHS))
    rows = slice(6, 39)
    alone = attention_pool(scores[rows], hidden[rows], cu_seqlens=bounds((33,)))
    assert torch.equal(alone[0], packed[2])


def test_a_single_token_is_its_own_mean() -> None:
    hidden = random(1, WIDTH)
    pooled = attention_pool(random(1, 3, seed=1), hidden, cu_seqlens=bounds((1,)))
    assert torch.equal(pooled, hidden.expand(1, 3, WIDTH))


def test_huge_scores_neither_overflow_nor_vanish() -> None:
    scores = torch.tensor([[3e38], [-3e38], [3e38], [-2e4], [-2e4]], requires_grad=True)
    values = torch.arange(10.0).view(5, 2)
    pooled = attention_pool(scores, values, cu_seqlens=torch.tensor([0, 3, 5]))
    torch.testing.assert_close(pooled[:, 0], torch.tensor([[2.0, 3.0], [7.0, 8.0]]))
    pooled.sum().backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_computes_in_float32_whatever_it_is_fed() -> None:
    head, ends = sharp(), bounds(LENGTHS)
    hidden = random(sum(LENGTHS), WIDTH, seed=9).bfloat16()
    wide = head(Sequences(hidden.float(), ends)).mean
    assert torch.equal(head(Sequences(hidden, ends)).mean, wide)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(head(Sequences(hidden.float(), ends)).mean, wide)
    assert head.bfloat16()(Sequences(hidden, ends)).mean.dtype == torch.float32


def test_memory_does_not_grow_with_the_number_of_queries() -> None:
    total, width, queries = 300, 64, 8
    hidden = random(total, width).requires_grad_()
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes() // 4
        return tensor

    head = AttentionPoolingHead(hidden_size=width, queries=queries)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        head(Sequences(hidden, bounds((100, 200))))
    assert sum(kept.values()) < 2 * total * width


def test_fresh_heads_begin_near_the_mean() -> None:
    head = AttentionPoolingHead(hidden_size=256)
    head.reset_parameters(torch.Generator().manual_seed(0))
    hidden = random(50, 256, seed=5)
    scores = hidden @ head.queries.T / 16
    weights = torch.softmax(scores, dim=0)
    assert ((weights * 50 - 1).abs() < 0.3).all()
    again = AttentionPoolingHead(hidden_size=256)
    again.reset_parameters(torch.Generator().manual_seed(0))
    assert all(map(torch.equal, head.parameters(), again.parameters()))


def test_config_round_trip() -> None:
    head = AttentionPoolingHead(
        hidden_size=4, axes=("overall", "style"), queries=3, hidden_sizes=(5,), activation="gelu",
        bias=False, sigma=False,
    )  # fmt: skip
    again = AttentionPoolingHead.from_config(head.to_config(), hidden_size=4)
    assert again.to_config() == head.to_config()
    again.load_state_dict(head.state_dict())
    given_to = Sequences(torch.ones(3, 4), torch.tensor([0, 3]))
    out: HeadOutput = head(given_to)
    assert (out.sigma, out.axes) == (None, ("overall", "style"))
    assert torch.equal(again(given_to).mean, out.mean)
    assert AttentionPoolingHead(hidden_size=4, axes=("style",)).queries.shape == (1, 4)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"queries": 0}, "head_value"),
        ({"queries": 2**40}, "head_value"),
        # Each few enough, and too much together.
        ({"queries": 2**12, "hidden_sizes": [2**20]}, "head_size"),
        ({"queries": True}, "head_value"),
        ({"queries": 1.5}, "head_value"),
        ({"axes": ["beauty"]}, "axis_unknown"),
        ({"axes": []}, "axes_repeated"),
        ({"hidden_sizes": [0]}, "head_size"),
        ({"shared": True}, "head_key"),
        ({"kind": "multi_axis"}, "head_kind"),
    ],
)
def test_a_strange_config_is_refused(change: dict[str, object], code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AttentionPoolingHead.from_config(change, hidden_size=4)
    assert caught.value.code == code
