"""FlashAttention-2 by its published signature; the package itself needs a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from librehps.errors import BackendError
from librehps.kernels.attention.flash_attention_2 import attention_flash_2
from librehps.kernels.attention.reference import attention_reference

Install = Callable[..., list[dict[str, Any]]]
QUERIES, KEYS = (5, 1, 33, 2), (9, 1, 33, 7)


def arguments(heads: int, groups: int, width: int, dtype: torch.dtype) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "q": torch.randn(sum(QUERIES), heads, width, generator=generator),
        "k": torch.randn(sum(KEYS), groups, width, generator=generator),
        "v": torch.randn(sum(KEYS), groups, width, generator=generator),
    }
    bounds = {
        "cu_seqlens_q": torch.tensor([0, *QUERIES]).cumsum(0),
        "cu_seqlens_k": torch.tensor([0, *KEYS]).cumsum(0),
    }
    return {name: tensor.to(dtype) for name, tensor in tensors.items()} | bounds


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "full"])
@pytest.mark.parametrize(("heads", "groups", "width"), [(4, 2, 256), (3, 3, 72), (8, 1, 64)])
def test_values_and_gradients_are_those_of_the_definition(
    install_flash: Install, heads: int, groups: int, width: int, causal: bool, dtype: torch.dtype
) -> None:
    install_flash("fa2")
    given = arguments(heads, groups, width, dtype)
    results: list[list[Tensor]] = []
    for function in (attention_reference, attention_flash_2):
        leaves = [given[name].clone().requires_grad_() for name in "qkv"]
        bounds = {name: given[name] for name in ("cu_seqlens_q", "cu_seqlens_k")}
        out = function(*leaves, **bounds, causal=causal, scale=0.3)
        assert out.dtype == dtype
        upstream = torch.linspace(-1, 1, out.numel()).view_as(out).to(dtype)
        results.append([out, *torch.autograd.grad(out, leaves, upstream)])
    # The stand-in computes by the definition, so that any difference is in what it was handed.
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_what_the_package_is_handed(install_flash: Install) -> None:
    calls = install_flash("fa2")
    given = arguments(4, 2, 72, torch.bfloat16)
    attention_flash_2(**given, causal=True, scale=0.25)
    (call,) = calls
    assert call["q"] is given["q"]
    assert call["cu_seqlens_q"].dtype == call["cu_seqlens_k"].dtype == torch.int32
    assert (call["max_seqlen_q"], call["max_seqlen_k"]) == (33, 33)
    assert (call["softmax_scale"], call["causal"]) == (0.25, True)
    assert (call["dropout_p"], call["window_size"], call["softcap"]) == (0.0, (-1, -1), 0.0)
    assert call["deterministic"] is False


def test_it_is_deterministic_where_torch_is_asked_to_be(
    install_flash: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = install_flash("fa2")
    # Asking torch itself would import its compiler.
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    attention_flash_2(**arguments(2, 2, 8, torch.float16), causal=True, scale=1.0)
    assert calls[0]["deterministic"] is True


def test_what_it_cannot_take_is_an_error_that_says_so(install_flash: Install) -> None:
    calls = install_flash("fa2")
    with pytest.raises(BackendError, match="float16 and bfloat16, not float32"):
        attention_flash_2(**arguments(2, 2, 8, torch.float32), causal=True, scale=1.0)
    with pytest.raises(BackendError, match=r"at most 256, .*keys have 264, values 264"):
        attention_flash_2(**arguments(1, 1, 264, torch.float16), causal=True, scale=1.0)
    given = arguments(2, 2, 16, torch.float16)
    given["v"] = given["v"][..., :8]
    with pytest.raises(BackendError, match="keys have 16, values 8"):
        attention_flash_2(**given, causal=True, scale=1.0)
    assert calls == []


def test_it_never_runs_on_a_cpu() -> None:
    with pytest.raises(BackendError, match="the device is cpu") as caught:
        attention_flash_2(**arguments(2, 2, 8, torch.float16), causal=True, scale=1.0)
    assert caught.value.code == "attention_unavailable"
