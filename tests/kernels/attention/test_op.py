"""Tests of the checks of packed attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from librehps.errors import BackendError, ConfigError, InputError
from librehps.kernels.attention import attention
from librehps.kernels.attention.op import check_arguments
from librehps.kernels.attention.reference import attention_reference
from librehps.testing.tolerances import TOLERANCES, relative_rms

Install = Callable[..., list[dict[str, Any]]]
Ragged = Callable[[int, int, int, torch.dtype], dict[str, Any]]


def good() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "q": torch.randn(5, 4, 8, generator=generator),
        "k": torch.randn(6, 2, 8, generator=generator),
        "v": torch.randn(6, 2, 3, generator=generator),
        "cu_seqlens_q": torch.tensor([0, 2, 5]),
        "cu_seqlens_k": torch.tensor([0, 3, 6]),
        "causal": True,
    }


def test_every_implementation_gives_the_definition() -> None:
    expected = attention_reference(**good(), scale=0.5)
    assert torch.equal(attention(**good(), scale=0.5, impl="eager"), expected)
    for name in ("auto", "sdpa"):
        actual = attention(**good(), scale=0.5, impl=name)
        assert relative_rms(actual, expected) <= TOLERANCES["attention_sdpa_float32"].limit


@pytest.mark.parametrize("impl", ["fa2", "fa4"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "full"])
@pytest.mark.parametrize(("heads", "groups", "width"), [(4, 2, 256), (3, 3, 72), (8, 1, 64)])
def test_packages_are_handed_what_the_definition_is(
    install_flash: Install,
    ragged: Ragged,
    heads: int,
    groups: int,
    width: int,
    causal: bool,
    dtype: torch.dtype,
    impl: str,
) -> None:
    install_flash(impl)
    given = ragged(heads, groups, width, dtype)
    results: list[list[Tensor]] = []
    for name in ("eager", impl):
        leaves = [given[one].clone().requires_grad_() for one in "qkv"]
        bounds = {one: given[one] for one in ("cu_seqlens_q", "cu_seqlens_k")}
        out = attention(*leaves, **bounds, causal=causal, scale=0.3, impl=name)
        assert out.dtype == dtype
        upstream = torch.linspace(-1, 1, out.numel()).view_as(out).to(dtype)
        results.append([out, *torch.autograd.grad(out, leaves, upstream)])
    # The stand-in computes by the definition, so that any difference is in what it was handed.
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("impl", ["fa2", "fa4"])
def test_packages_are_deterministic_where_torch_is_asked_to_be(
    install_flash: Install, ragged: Ragged, monkeypatch: pytest.MonkeyPatch, impl: str
) -> None:
    calls = install_flash(impl)
    # Asking torch itself would import its compiler.
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    attention(**ragged(2, 2, 8, torch.float16), causal=True, scale=1.0, impl=impl)
    assert calls[0]["deterministic"] is True


@pytest.mark.parametrize("impl", ["fa2", "fa4"])
def test_packages_never_run_on_a_cpu(ragged: Ragged, impl: str) -> None:
    with pytest.raises(BackendError, match="the device is cpu") as caught:
        attention(**ragged(2, 2, 8, torch.float16), causal=True, scale=1.0, impl=impl)
    assert caught.value.code == "attention_unavailable"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("k", torch.ones(6, 2, 7), "argument_shape"),
        ("k", torch.ones(6, 3, 8), "argument_shape"),
        ("v", torch.ones(5, 2, 3), "argument_shape"),
        ("v", torch.ones(6, 2, 3, dtype=torch.bfloat16), "argument_dtype"),
        ("cu_seqlens_q", torch.tensor([0, 5, 5]), "boundaries"),
        ("cu_seqlens_k", torch.tensor([0, 6]), "argument_shape"),
    ],
)
def test_bad_arguments_are_refused(name: str, value: torch.Tensor, code: str) -> None:
    given = good() | {name: value}
    with pytest.raises(InputError) as caught:
        check_arguments(given.pop("q"), given.pop("k"), given.pop("v"), **given)
    assert caught.value.code == code


def test_heads_that_cannot_be_shared_equally_are_refused() -> None:
    given = good() | {"k": torch.ones(6, 3, 8), "v": torch.ones(6, 3, 3)}
    with pytest.raises(InputError, match="4 query heads cannot share 3 key heads"):
        check_arguments(given.pop("q"), given.pop("k"), given.pop("v"), **given)


def test_fewer_keys_than_queries_make_sense_without_a_causal_mask_only() -> None:
    given = good() | {"cu_seqlens_k": torch.tensor([0, 4, 6])}
    attention(**(given | {"causal": False}), scale=1.0)
    with pytest.raises(InputError, match="sequence 1 has fewer keys"):
        attention(**given, scale=1.0)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("q", torch.ones(5, 32), "argument_shape"),
        ("q", torch.ones(5, 4, 8, dtype=torch.int64), "argument_dtype"),
        ("k", torch.ones(6, 2, 7), "argument_shape"),
        ("v", torch.ones(6, 1, 3), "argument_shape"),
        ("v", torch.ones(6, 2, 3, dtype=torch.bool), "argument_dtype"),
        ("cu_seqlens_q", torch.tensor([0, 2, 6]), "boundaries"),
        ("cu_seqlens_q", torch.tensor([0.0, 2.0, 5.0]), "argument_dtype"),
        ("cu_seqlens_k", torch.tensor([1, 3, 6]), "boundaries"),
        ("cu_seqlens_k", torch.tensor([0, 3, 6], dtype=torch.int16), "argument_dtype"),
        ("cu_seqlens_k", torch.tensor([0, 1, 6]), "boundaries"),
    ],
)
def test_the_error_names_the_argument(name: str, value: torch.Tensor, code: str) -> None:
    given = good() | {name: value}
    with pytest.raises(InputError, match=name) as caught:
        check_arguments(given.pop("q"), given.pop("k"), given.pop("v"), **given)
    assert (caught.value.code, caught.value.item) == (code, name)


@pytest.mark.parametrize("name", ["q", "k", "v", "cu_seqlens_q", "cu_seqlens_k"])
def test_an_argument_on_another_device_is_named(name: str) -> None:
    given = good()
    given[name] = given[name].to("meta")
    with pytest.raises(InputError, match=f"{name} on meta"):
        check_arguments(given.pop("q"), given.pop("k"), given.pop("v"), **given)


def test_an_unknown_implementation_is_refused() -> None:
    with pytest.raises(ConfigError, match="'flash'; known: auto, fa4, fa2, sdpa, eager"):
        attention(**good(), scale=1.0, impl="flash")
