"""Tests of the definition of packed attention."""

from __future__ import annotations

import torch

from librehps.kernels.attention.reference import attention_reference


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
