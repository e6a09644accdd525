"""FlashAttention-2 by its published signature; the package itself needs a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from librehps.errors import BackendError, InputError
from librehps.kernels.attention.flash_attention_2 import attention_flash_2

Install = Callable[..., list[dict[str, Any]]]
Ragged = Callable[[int, int, int, torch.dtype], dict[str, Any]]


def test_what_the_package_is_handed(install_flash: Install, ragged: Ragged) -> None:
    calls = install_flash("fa2")
    given = ragged(4, 2, 72, torch.bfloat16)
    attention_flash_2(**given, causal=True, scale=0.25)
    (call,) = calls
    assert call["q"] is given["q"]
    assert call["cu_seqlens_q"].dtype == call["cu_seqlens_k"].dtype == torch.int32
    assert (call["max_seqlen_q"], call["max_seqlen_k"]) == (33, 33)
    assert (call["softmax_scale"], call["causal"]) == (0.25, True)
    assert (call["dropout_p"], call["window_size"], call["softcap"]) == (0.0, (-1, -1), 0.0)
    assert call["deterministic"] is False


def test_what_it_cannot_take_is_an_error_that_says_so(
    install_flash: Install, ragged: Ragged
) -> None:
    calls = install_flash("fa2")
    with pytest.raises(BackendError, match="float16 and bfloat16, not float32"):
        attention_flash_2(**ragged(2, 2, 8, torch.float32), causal=True, scale=1.0)
    with pytest.raises(BackendError, match=r"at most 256, .*keys have 264, values 264"):
        attention_flash_2(**ragged(1, 1, 264, torch.float16), causal=True, scale=1.0)
    given = ragged(2, 2, 16, torch.float16)
    given["v"] = given["v"][..., :8]
    with pytest.raises(BackendError, match="keys have 16, values 8"):
        attention_flash_2(**given, causal=True, scale=1.0)
    assert calls == []


def test_fewer_keys_than_queries_are_refused_under_a_causal_mask(
    install_flash: Install, ragged: Ragged
) -> None:
    calls = install_flash("fa2")
    given = ragged(2, 2, 16, torch.float16)
    queries = given["cu_seqlens_q"]
    # As many keys in all, one of them from the second sequence in the first.
    given |= {"k": torch.zeros_like(given["q"]), "v": torch.zeros_like(given["q"])}
    given["cu_seqlens_k"] = queries + torch.zeros_like(queries).index_fill(0, torch.tensor([1]), 1)
    short = int((given["cu_seqlens_k"].diff() < queries.diff()).nonzero()[0])
    with pytest.raises(InputError, match=f"sequence {short} has fewer keys") as caught:
        attention_flash_2(**given, causal=True, scale=1.0)
    assert (caught.value.code, caught.value.item) == ("boundaries", "cu_seqlens_k")
    assert calls == []
    attention_flash_2(**given, causal=False, scale=1.0)
    assert len(calls) == 1
