"""Tests of the definition of packed attention."""

from __future__ import annotations

import pytest
import torch

from librehps.errors import InputError
from librehps.kernels.attention.reference import attention_reference
from librehps.testing.tolerances import TOLERANCES, relative_rms


def test_equal_logits_average_what_is_seen() -> None:
    v = torch.tensor([3.0, 5.0, 100.0, 200.0, 600.0]).double()[:, None, None]
    q, k = torch.zeros(3, 1, 1).double(), torch.zeros(5, 1, 1).double()
    bounds = {"cu_seqlens_q": torch.tensor([0, 1, 3]), "cu_seqlens_k": torch.tensor([0, 2, 5])}
    causal = attention_reference(q, k, v, **bounds, causal=True, scale=1.0)
    # Aligned at the end: the first of two queries sees two of three keys.
    torch.testing.assert_close(causal.flatten(), torch.tensor([4.0, 150.0, 300.0]).double())
    full = attention_reference(q, k, v, **bounds, causal=False, scale=1.0)
    torch.testing.assert_close(full.flatten(), torch.tensor([4.0, 300.0, 300.0]).double())


def test_query_heads_share_key_heads_in_order() -> None:
    q, k = torch.zeros(1, 4, 1), torch.zeros(1, 2, 1)
    v = torch.tensor([[[1.0], [2.0]]])
    one = torch.tensor([0, 1])
    out = attention_reference(q, k, v, cu_seqlens_q=one, cu_seqlens_k=one, causal=True, scale=1.0)
    assert out.flatten().tolist() == [1.0, 1.0, 2.0, 2.0]


def test_the_scale_multiplies_the_logits() -> None:
    q, k = torch.ones(1, 1, 1).double(), torch.tensor([1.0, 0.0]).double()[:, None, None]
    v = torch.tensor([1.0, 0.0]).double()[:, None, None]
    out = attention_reference(
        q,
        k,
        v,
        cu_seqlens_q=torch.tensor([0, 1]),
        cu_seqlens_k=torch.tensor([0, 2]),
        causal=True,
        scale=0.25,
    )
    torch.testing.assert_close(out[0, 0, 0], torch.tensor(0.25).double().sigmoid())


def random_case(dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((4, 4, 3), (6, 2, 3), (6, 2, 2))
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


BOUNDS = {"cu_seqlens_q": torch.tensor([0, 3, 4]), "cu_seqlens_k": torch.tensor([0, 5, 6])}


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "full"])
def test_random_values_are_weighted_by_the_exponentials_of_the_logits(causal: bool) -> None:
    q, k, v = random_case(torch.float64)
    out = attention_reference(q, k, v, **BOUNDS, causal=causal, scale=0.7)
    for token, keys in enumerate([range(3), range(4), range(5), range(5, 6)]):
        seen = keys if causal or token == 3 else range(5)
        for head in range(4):
            weights = [(0.7 * (q[token, head] * k[key, head // 2]).sum()).exp() for key in seen]
            mean = sum(w * v[key, head // 2] for w, key in zip(weights, seen, strict=True))
            error = relative_rms(out[token, head], mean / sum(weights))
            assert error <= TOLERANCES["kernel_definitions_float64"].limit


def test_narrow_inputs_are_computed_in_float32_and_rounded_once() -> None:
    narrow = random_case(torch.bfloat16)
    wide = attention_reference(*(x.float() for x in narrow), **BOUNDS, causal=True, scale=0.7)
    out = attention_reference(*narrow, **BOUNDS, causal=True, scale=0.7)
    assert torch.equal(out, wide.bfloat16())


def test_autocast_does_not_narrow_it() -> None:
    q, k, v = torch.randn(3, 7, 2, 8, generator=torch.Generator().manual_seed(0))
    bounds = torch.tensor([0, 7])
    given = {"cu_seqlens_q": bounds, "cu_seqlens_k": bounds, "causal": True, "scale": 0.3}
    plain = attention_reference(q, k, v, **given)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(attention_reference(q, k, v, **given), plain)


def test_fewer_keys_than_queries_are_refused_under_a_causal_mask() -> None:
    """As on a device, whose boundaries the op does not read; without a value there is no mean."""
    q, k = torch.zeros(3, 1, 4), torch.zeros(2, 1, 4)
    given = {"cu_seqlens_q": torch.tensor([0, 3]), "cu_seqlens_k": torch.tensor([0, 2])}
    with pytest.raises(InputError, match="sequence 0 has fewer keys"):
        attention_reference(q, k, k, **given, causal=True, scale=1.0)
    assert attention_reference(q, k, k, **given, causal=False, scale=1.0).isfinite().all()
