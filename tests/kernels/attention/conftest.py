"""Stand-ins for the flash attention packages: their published signatures, our definition inside."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from librehps.kernels import backend, flash_packages
from librehps.kernels.attention.reference import attention_reference
from librehps.kernels.flash_packages import FlashPackage

Install = Callable[..., list[dict[str, Any]]]
# Of four sequences, some with a cached prefix.
QUERIES, KEYS = (5, 1, 33, 2), (9, 1, 33, 7)


@pytest.fixture
def ragged() -> Callable[[int, int, int, torch.dtype], dict[str, Any]]:
    """Return a function from heads, key heads, width and dtype to tensors and boundaries."""

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

    return arguments


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """What was found and said in one test is no business of the next."""
    remembered = (flash_packages._version, flash_packages._load, backend._warn)
    for function in remembered:
        function.cache_clear()
    yield
    for function in remembered:
        function.cache_clear()


@pytest.fixture
def install_flash(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs one package on a device of a capability.

    It returns a list, to which every call of the package's function appends what it was given.
    """

    def install(name: str, *, capability: tuple[int, int] = (9, 0)) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []
        function = {"fa2": published_2, "fa4": published_4}[name](calls)
        package = flash_packages.FLASH_PACKAGES[name]
        parent = ModuleType("flash_attn")
        monkeypatch.setitem(sys.modules, "flash_attn", parent)
        module = parent if package.module == "flash_attn" else ModuleType(package.module)
        monkeypatch.setitem(sys.modules, package.module, module)
        module.flash_attn_varlen_func = function
        versions = {package.distribution: package.written_for}
        monkeypatch.setattr(flash_packages, "_version", versions.get)
        pretend_cuda(monkeypatch, capability)
        return calls

    return install


def pretend_cuda(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    """Take every device for a CUDA device of this capability, in the packages' checks only."""
    unfit = FlashPackage.unfit

    def unfit_there(package: FlashPackage, device: torch.device, **known: Any) -> list[str]:
        return unfit(package, torch.device("cuda", 0), **known)

    monkeypatch.setattr(FlashPackage, "unfit", unfit_there)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)


def demand(q: Tensor, k: Tensor, v: Tensor, *bounds: Tensor | None) -> None:
    """Refuse what both packages refuse."""
    assert q.dtype in (torch.float16, torch.bfloat16)
    assert q.dtype == k.dtype == v.dtype
    assert all(bound is not None and bound.dtype == torch.int32 for bound in bounds)


def published_2(calls: list[dict[str, Any]]) -> Callable[..., Any]:
    """Return a function with the signature of flash-attn 2.8.3."""

    def flash_attn_varlen_func(
        q,
        k,
        v,
        cu_seqlens_q,
        cu_seqlens_k,
        max_seqlen_q,
        max_seqlen_k,
        dropout_p=0.0,
        softmax_scale=None,
        causal=False,
        window_size=(-1, -1),
        softcap=0.0,
        alibi_slopes=None,
        deterministic=False,
        return_attn_probs=False,
        block_table=None,
    ):
        calls.append(dict(locals()))
        demand(q, k, v, cu_seqlens_q, cu_seqlens_k)
        assert (type(max_seqlen_q), type(max_seqlen_k)) == (int, int)
        assert max_seqlen_q == int(cu_seqlens_q.diff().max())
        assert max_seqlen_k == int(cu_seqlens_k.diff().max())
        return attention_reference(
            q,
            k,
            v,
            cu_seqlens_q=cu_seqlens_q,
            cu_seqlens_k=cu_seqlens_k,
            causal=causal,
            scale=q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale,
        )

    return flash_attn_varlen_func


def published_4(calls: list[dict[str, Any]]) -> Callable[..., Any]:
    """Return a function with the signature of flash-attn-4 4.0.0b36."""

    def flash_attn_varlen_func(
        q,
        k,
        v,
        qv=None,
        cu_seqlens_q=None,
        cu_seqlens_k=None,
        max_seqlen_q=None,
        max_seqlen_k=None,
        min_seqlen_k=None,
        seqused_q=None,
        seqused_k=None,
        gather_kv_indices=None,
        page_table=None,
        softmax_scale=None,
        causal=False,
        window_size=(None, None),
        learnable_sink=None,
        softcap=0.0,
        num_splits=1,
        pack_gqa=None,
        deterministic=False,
        score_mod=None,
        score_mod_bwd=None,
        mask_mod=None,
        block_sparse_tensors=None,
        aux_tensors=None,
        aux_scalars=None,
        return_lse=False,
        scheduler_metadata=None,
        seqlen_k_per_split=None,
        disable_scheduler_metadata=False,
        gather_bwd_recompute_p=False,
        gather_bwd_token_chunk=None,
    ):
        calls.append(dict(locals()))
        assert qv is None
        demand(q, k, v, cu_seqlens_q, cu_seqlens_k)
        out = attention_reference(
            q,
            k,
            v,
            cu_seqlens_q=cu_seqlens_q,
            cu_seqlens_k=cu_seqlens_k,
            causal=causal,
            scale=q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale,
        )
        return out, None

    return flash_attn_varlen_func
