"""Attention by each implementation that is installed, against the definition: `make gpu`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from librehps.errors import BackendError
from librehps.kernels.attention import attention
from librehps.kernels.attention.reference import attention_reference
from librehps.kernels.backend import choose_attention
from librehps.testing.agreement import disagreement, results_and_gradients
from librehps.testing.tolerances import TOLERANCES

pytestmark = pytest.mark.gpu

LENGTHS = (1, 300, 2, 63, 64, 65, 129)
# (query heads, key heads, width, causal): the text layers of 4B and nano, both vision towers.
SHAPES = ((16, 4, 256, True), (4, 2, 32, True), (16, 16, 64, False), (16, 16, 72, False))


def implementation(name: str, dtype: torch.dtype) -> Callable[..., Tensor]:
    """Return an implementation, or skip with what is missing here."""
    try:
        choose_attention(name, torch.device("cuda", 0), dtype=dtype)
    except BackendError as error:
        pytest.skip(str(error))

    def run(**given: Any) -> Tensor:
        return attention(**given, impl=name)

    return run


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Ask torch, and with it the packages, for what is repeatable: gradients are not by default."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def tensors(heads: int, groups: int, width: int, dtype: torch.dtype) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    tokens = sum(LENGTHS)
    shapes = dict.fromkeys("qkv", (tokens, groups, width)) | {"q": (tokens, heads, width)}
    return {
        name: torch.randn(shape, generator=generator).to("cuda", dtype)
        for name, shape in shapes.items()
    }


def options(width: int, causal: bool) -> dict[str, Any]:
    bounds = torch.tensor([0, *LENGTHS], device="cuda").cumsum(0)
    return {
        "cu_seqlens_q": bounds,
        "cu_seqlens_k": bounds,
        "causal": causal,
        "scale": 1 / math.sqrt(width),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("heads", "groups", "width", "causal"), SHAPES)
@pytest.mark.parametrize("name", ["sdpa", "fa2", "fa4"])
def test_values_and_gradients_equal_the_definition(
    name: str, heads: int, groups: int, width: int, causal: bool, dtype: torch.dtype
) -> None:
    run = implementation(name, dtype)
    # float16 is held to the limit of bfloat16, which has fewer digits.
    limit = {torch.float32: "float32"}.get(dtype, "bfloat16")
    errors = disagreement(
        run,
        attention_reference,
        tensors(heads, groups, width, dtype),
        **options(width, causal),
    )
    assert max(errors.values()) <= TOLERANCES[f"attention_sdpa_{limit}"].limit, errors


@pytest.mark.parametrize("name", ["sdpa", "fa2", "fa4"])
def test_two_calls_are_equal_bit_for_bit(name: str) -> None:
    run = implementation(name, torch.bfloat16)
    given, how = tensors(16, 4, 256, torch.bfloat16), options(256, causal=True)
    first = run(**given, **how)
    assert all(torch.equal(run(**given, **how), first) for _ in range(3))


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("name", ["sdpa", "fa2", "fa4"])
def test_gradients_of_two_calls_are_equal_bit_for_bit(name: str) -> None:
    run = implementation(name, torch.bfloat16)
    given, how = tensors(16, 4, 256, torch.bfloat16), options(256, causal=True)
    first = results_and_gradients(run, given, **how)
    for _ in range(3):
        again = results_and_gradients(run, given, **how)
        assert all(torch.equal(again[name], first[name]) for name in first)
