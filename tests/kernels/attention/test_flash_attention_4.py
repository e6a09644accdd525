"""FlashAttention-4 by its published signature; the package itself needs a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from librehps.errors import BackendError
from librehps.kernels.attention.flash_attention_4 import attention_flash_4

Install = Callable[..., list[dict[str, Any]]]
Ragged = Callable[[int, int, int, torch.dtype], dict[str, Any]]


def test_what_the_package_is_handed(install_flash: Install, ragged: Ragged) -> None:
    calls = install_flash("fa4")
    given = ragged(4, 2, 72, torch.bfloat16)
    attention_flash_4(**given, causal=True, scale=0.25)
    (call,) = calls
    assert call["q"] is given["q"]
    assert call["cu_seqlens_q"].dtype == call["cu_seqlens_k"].dtype == torch.int32
    # Left out, so that nothing waits for the device.
    assert (call["max_seqlen_q"], call["max_seqlen_k"]) == (None, None)
    assert (call["softmax_scale"], call["causal"]) == (0.25, True)
    assert (call["qv"], call["window_size"], call["softcap"]) == (None, (None, None), 0.0)
    assert call["deterministic"] is False


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
    install_flash: Install,
    ragged: Ragged,
    capability: tuple[int, int],
    key: int,
    value: int,
    fits: bool,
) -> None:
    calls = install_flash("fa4", capability=capability)
    given = ragged(1, 1, max(key, value), torch.float16)
    given |= {"q": given["q"][..., :key], "k": given["k"][..., :key], "v": given["v"][..., :value]}
    if fits:
        out = attention_flash_4(**given, causal=False, scale=1.0)
        assert out.shape == (len(given["q"]), 1, value)
    else:
        with pytest.raises(BackendError, match=f"keys have {key}, values {value}"):
            attention_flash_4(**given, causal=False, scale=1.0)
    assert len(calls) == fits


def test_a_dtype_it_cannot_take_is_an_error_that_says_so(
    install_flash: Install, ragged: Ragged
) -> None:
    calls = install_flash("fa4")
    with pytest.raises(BackendError, match="float16 and bfloat16, not float64"):
        attention_flash_4(**ragged(2, 2, 8, torch.float64), causal=True, scale=1.0)
    assert calls == []
