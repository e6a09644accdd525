"""Tests of the fused attention against the definition."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from librehps.errors import InputError
from librehps.kernels.attention.reference import attention_reference
from librehps.kernels.attention.torch_sdpa import attention_sdpa
from librehps.testing.tolerances import TOLERANCES, relative_rms

QUERIES, KEYS = (5, 1, 33, 2, 1), (9, 1, 33, 7, 4)


def bounds(lengths: tuple[int, ...]) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0)


def arguments(
    *, heads: int, groups: int, key_width: int, value_width: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (
        (sum(QUERIES), heads, key_width),
        (sum(KEYS), groups, key_width),
        (sum(KEYS), groups, value_width),
    )
    q, k, v = (torch.randn(shape, generator=generator).to(dtype) for shape in shapes)
    return q, k, v


@pytest.mark.parametrize(
    ("dtype", "limit"),
    [
        (torch.float64, "attention_sdpa_float64"),
        (torch.float32, "attention_sdpa_float32"),
        (torch.bfloat16, "attention_sdpa_bfloat16"),
    ],
    ids=str,
)
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "full"])
@pytest.mark.parametrize(
    ("heads", "groups", "key_width", "value_width"),
    [(4, 2, 16, 24), (3, 3, 72, 72), (8, 1, 20, 20)],
)
def test_forward_and_gradients_equal_the_definition(
    heads: int,
    groups: int,
    key_width: int,
    value_width: int,
    causal: bool,
    dtype: torch.dtype,
    limit: str,
) -> None:
    inputs = arguments(
        heads=heads, groups=groups, key_width=key_width, value_width=value_width, dtype=dtype
    )
    results: list[tuple[Tensor, ...]] = []
    for function in (attention_reference, attention_sdpa):
        own = [tensor.clone().requires_grad_() for tensor in inputs]
        out = function(
            *own,
            cu_seqlens_q=bounds(QUERIES),
            cu_seqlens_k=bounds(KEYS),
            causal=causal,
            scale=0.3,
        )
        weighting = torch.linspace(-1, 1, out.numel(), dtype=dtype).view_as(out)
        results.append((out, *torch.autograd.grad((out * weighting).sum(), own)))
    for expected, actual in zip(*results, strict=True):
        assert actual.dtype == dtype
        assert relative_rms(actual, expected) <= TOLERANCES[limit].limit


def test_a_sequence_does_not_depend_on_its_neighbours() -> None:
    inputs = arguments(heads=4, groups=2, key_width=16, value_width=24, dtype=torch.float32)
    packed = attention_sdpa(
        *inputs, cu_seqlens_q=bounds(QUERIES), cu_seqlens_k=bounds(KEYS), causal=True, scale=0.3
    )
    parts = zip(
        *(x.split(n) for x, n in zip(inputs, (QUERIES, KEYS, KEYS), strict=True)), strict=True
    )
    alone = [
        attention_sdpa(
            *(x.clone() for x in part),
            cu_seqlens_q=torch.tensor([0, len(part[0])]),
            cu_seqlens_k=torch.tensor([0, len(part[1])]),
            causal=True,
            scale=0.3,
        )
        for part in parts
    ]
    assert torch.equal(torch.cat(alone), packed)


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "full"])
@pytest.mark.parametrize(("heads", "groups"), [(4, 2), (3, 3)])
@pytest.mark.parametrize(
    ("dtype", "limit"),
    [
        (torch.float64, "attention_sdpa_float64"),
        (torch.float32, "attention_sdpa_float32"),
        (torch.bfloat16, "attention_sdpa_bfloat16"),
    ],
    ids=str,
)
def test_equally_long_neighbours_share_a_call_and_nothing_else(
    heads: int, groups: int, causal: bool, dtype: torch.dtype, limit: str
) -> None:
    queries, keys = (7, 7, 7, 3, 7, 2, 2), (7, 7, 7, 3, 9, 5, 5)
    generator = torch.Generator().manual_seed(0)
    shapes = ((sum(queries), heads, 16), (sum(keys), groups, 16), (sum(keys), groups, 24))
    inputs = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    results: list[tuple[Tensor, ...]] = []
    for function in (attention_reference, attention_sdpa):
        own = [tensor.clone().requires_grad_() for tensor in inputs]
        out = function(
            *own,
            cu_seqlens_q=bounds(queries),
            cu_seqlens_k=bounds(keys),
            causal=causal,
            scale=0.3,
        )
        weighting = torch.linspace(-1, 1, out.numel(), dtype=dtype).view_as(out)
        results.append((out, *torch.autograd.grad((out * weighting).sum(), own)))
    for expected, actual in zip(*results, strict=True):
        assert actual.dtype == dtype
        assert relative_rms(actual, expected) <= TOLERANCES[limit].limit
    parts = zip(
        *(x.split(list(n)) for x, n in zip(inputs, (queries, keys, keys), strict=True)), strict=True
    )
    alone = [
        attention_sdpa(
            *part,
            cu_seqlens_q=torch.tensor([0, len(part[0])]),
            cu_seqlens_k=torch.tensor([0, len(part[1])]),
            causal=causal,
            scale=0.3,
        )
        for part in parts
    ]
    assert torch.equal(torch.cat(alone), results[1][0])


def test_each_run_of_a_length_is_one_call_of_the_fused_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fused, shapes = F.scaled_dot_product_attention, list[tuple[int, ...]]()

    def record(query: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        shapes.append(tuple(query.shape))
        return fused(query, *args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", record)
    queries, keys = (*QUERIES, 1, 3, 3, 3), (*KEYS, 4, 5, 5, 3)
    generator = torch.Generator().manual_seed(0)
    attention_sdpa(
        torch.randn(sum(queries), 4, 16, generator=generator),
        torch.randn(sum(keys), 2, 16, generator=generator),
        torch.randn(sum(keys), 2, 24, generator=generator),
        cu_seqlens_q=bounds(queries),
        cu_seqlens_k=bounds(keys),
        causal=True,
        scale=0.3,
    )
    # Two key heads for each sequence of a run: the last of QUERIES and the one behind it are alike.
    # Keys are made as wide as values, without which there is no fused kernel.
    assert shapes == [
        *((2, 2, length, 24) for length in QUERIES[:-1]),
        (4, 2, 1, 24),
        (4, 2, 3, 24),
        (2, 2, 3, 24),
    ]


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "full"])
def test_no_mask_over_the_pack_is_ever_made(causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    fused, masks = F.scaled_dot_product_attention, list[Tensor | None]()

    def record(*args: Any, attn_mask: Tensor | None, **kwargs: Any) -> Tensor:
        masks.append(attn_mask)
        return fused(*args, attn_mask=attn_mask, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", record)
    inputs = arguments(heads=4, groups=2, key_width=16, value_width=16, dtype=torch.float32)
    attention_sdpa(
        *inputs, cu_seqlens_q=bounds(QUERIES), cu_seqlens_k=bounds(KEYS), causal=causal, scale=0.3
    )
    # Only a sequence with keys from before, and more than one query, needs a mask, of its own size.
    made = [(5, 9), (2, 7)] if causal else []
    assert [tuple(mask.shape) for mask in masks if mask is not None] == made


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "full"])
def test_lengths_of_all_kinds_in_one_pack(causal: bool) -> None:
    lengths = (1, 2, 63, 64, 65, 127, 500, 1337)
    generator = torch.Generator().manual_seed(4)
    inputs = [torch.randn(sum(lengths), n, 8, generator=generator) for n in (2, 1, 1)]
    results: list[tuple[Tensor, ...]] = []
    for function, dtype in ((attention_reference, torch.float64), (attention_sdpa, torch.float32)):
        own = [tensor.to(dtype, copy=True).requires_grad_() for tensor in inputs]
        at = {"cu_seqlens_q": bounds(lengths), "cu_seqlens_k": bounds(lengths)}
        y = function(*own, **at, causal=causal, scale=0.3)
        results.append((y, *torch.autograd.grad(y.double().sin().sum(), own)))
    for expected, actual in zip(*results, strict=True):
        assert relative_rms(actual, expected) <= TOLERANCES["attention_sdpa_float32"].limit


def test_fewer_keys_than_queries_are_refused_where_nobody_has_looked_yet() -> None:
    """As on a device, whose boundaries the op does not read."""
    q, k = torch.randn(5, 1, 4), torch.randn(4, 1, 4)
    given = {"cu_seqlens_q": torch.tensor([0, 3, 5]), "cu_seqlens_k": torch.tensor([0, 2, 4])}
    with pytest.raises(InputError, match="sequence 0 has fewer keys"):
        attention_sdpa(q, k, k, **given, causal=True, scale=1.0)
    assert attention_sdpa(q, k, k, **given, causal=False, scale=1.0).shape == (5, 1, 4)
