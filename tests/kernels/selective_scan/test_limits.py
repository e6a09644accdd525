"""Tests of what the triton kernels can take."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from librehps.kernels.selective_scan.limits import unfit


def given(*, width: int = 8, depth: int = 8, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    sizes = {"x": (5, 2, depth), "dt": (5, 2), "A": (2,), "B": (5, 1, width), "C": (5, 1, width)}
    return {name: torch.zeros(size, dtype=dtype) for name, size in sizes.items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_ordinary_arguments_fit(dtype: torch.dtype) -> None:
    assert unfit(**given(width=128, depth=64, dtype=dtype), chunk_size=64) is None
    assert unfit(**given(dtype=dtype) | {"A": torch.zeros(2)}, chunk_size=16) is None


@pytest.mark.parametrize(
    ("changes", "chunk_size", "reason"),
    [
        ({"dtype": torch.float64}, 64, "float64"),
        ({"width": 129}, 64, "B and C of 1 to 128 elements, and these have 129"),
        ({"width": 0}, 64, "these have 0"),
        ({"depth": 200}, 64, "x of 1 to 128 elements a head, and this has 200"),
        ({}, 128, "chunk_size is 128"),
    ],
)
def test_what_does_not_fit_is_said(changes: dict[str, Any], chunk_size: int, reason: str) -> None:
    found = unfit(**given(**changes), chunk_size=chunk_size)
    assert found is not None
    assert reason in found


def test_values_and_addresses_of_two_dtypes_do_not_fit() -> None:
    mixed = given() | {"x": torch.zeros(5, 2, 8, dtype=torch.float16)}
    assert "float16, float32" in str(unfit(**mixed, chunk_size=64))
    assert "float64" in str(unfit(**given() | {"A": torch.zeros(2).double()}, chunk_size=64))
