"""FlashAttention-4 by its published signature; the package itself needs a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from librehps.errors import BackendError
from librehps.kernels.attention.flash_attention_4 import attention_flash_4
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
    install_flash("fa4")
    given = arguments(heads, groups, width, dtype)
    results: list[list[Tensor]] = []
    for function in (attention_reference, attention_flash_4):
        leaves = [given[name].clone().requires_grad_() for name in "qkv"]
        bounds = {name: given[name] for name in ("cu_seqlens_q", "cu_seqlens_k")}
        out = function(*leaves, **bounds, causal=causal, scale=0.3)
        assert out.dtype == dtype
        upstream = torch.linspace(-1, 1, out.numel()).view_as(out).to(dtype)
        results.append([out, *torch.autograd.grad(out, leaves, upstream)])
    # The stand-in computes by the definition, so that any difference is in what it was handed.
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_what_the_package_is_handed(install_flash: Install) -> None:
    calls = install_flash("fa4")
    given = arguments(4, 2, 72, torch.bfloat16)
    attention_flash_4(**given, causal=True, scale=0.25)
    (call,) = calls
    assert call["q"] is given["q"]
    assert call["cu_seqlens_q"].dtype == call["cu_seqlens_k"].dtype == torch.int32
    # Left out, so that nothing waits for the device.
    assert (call["max_seqlen_q"], call["max_seqlen_k"]) == (None, None)
    assert (call["softmax_scale"], call["causal"]) == (0.25, True)
    assert (call["qv"], call["window_size"], call["softcap"]) == (None, (None, None), 0.0)
    assert call["deterministic"] is False


def test_it_is_deterministic_where_torch_is_asked_to_be(
    install_flash: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = install_flash("fa4")
    # Asking torch itself would import its compiler.
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    attention_flash_4(**arguments(2, 2, 8, torch.float16), causal=True, scale=1.0)
    assert calls[0]["deterministic"] is True


@pytest.mark.parametrize(
    ("capability", "key", "value", "fits"),
    [
        ((9, 0), 256, 256, True),
        ((9, 0), 192, 64, True),
        ((9, 0), 264, 264, False),
        ((9, 0), 76, 76, False),
        ((10, 0), 72, 72, True),
        ((10, 0), 128, 64, True),
        ((10, 0), 256, 256, True),
        ((10, 3), 192, 128, True),
        ((10, 0), 160, 160, False),
        ((10, 0), 256, 128, False),
        ((10, 0), 68, 68, False),
    ],
)
def test_which_widths_it_takes_where(
    install_flash: Install, capability: tuple[int, int], key: int, value: int, fits: bool
) -> None:
    calls = install_flash("fa4", capability=capability)
    given = arguments(1, 1, max(key, value), torch.float16)
    given |= {"q": given["q"][..., :key], "k": given["k"][..., :key], "v": given["v"][..., :value]}
    if fits:
        out = attention_flash_4(**given, causal=False, scale=1.0)
        assert out.shape == (sum(QUERIES), 1, value)
    else:
        with pytest.raises(BackendError, match=f"keys have {key}, values {value}"):
            attention_flash_4(**given, causal=False, scale=1.0)
    assert len(calls) == fits


def test_a_dtype_it_cannot_take_is_an_error_that_says_so(install_flash: Install) -> None:
    calls = install_flash("fa4")
    with pytest.raises(BackendError, match="float16 and bfloat16, not float64"):
        attention_flash_4(**arguments(2, 2, 8, torch.float64), causal=True, scale=1.0)
    assert calls == []


def test_it_never_runs_on_a_cpu() -> None:
    with pytest.raises(BackendError, match="the device is cpu") as caught:
        attention_flash_4(**arguments(2, 2, 8, torch.float16), causal=True, scale=1.0)
    assert caught.value.code == "attention_unavailable"
