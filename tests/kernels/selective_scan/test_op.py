"""Tests of the checks of the selective scan."""

from __future__ import annotations

from inspect import unwrap
from math import inf, nan
from typing import Any

import pytest
import torch

from librehps.errors import BackendError, ConfigError, InputError
from librehps.kernels.selective_scan import selective_scan
from librehps.kernels.selective_scan.op import check_arguments
from librehps.kernels.selective_scan.reference import selective_scan_reference
from librehps.testing.tolerances import TOLERANCES, relative_rms

POSITIONAL = ("x", "dt", "A", "B", "C")


def good() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "x": random(5, 4, 3),
        "dt": random(5, 4),
        "A": -random(4).exp(),
        "B": random(5, 2, 6),
        "C": random(5, 2, 6),
        "cu_seqlens": torch.tensor([0, 2, 5]),
        "D": random(4),
        "z": random(5, 4, 3),
        "dt_bias": random(4),
        "dt_limit": (0.0, inf),
        "initial_state": random(2, 4, 6, 3),
    }


def check(**changes: Any) -> None:
    given: dict[str, Any] = good() | {"chunk_size": 64} | changes
    first = [given.pop(name) for name in POSITIONAL]
    check_arguments(*first, **given)


def test_the_op_gives_the_definition() -> None:
    results = (
        rule(**good(), dt_softplus=True) for rule in (selective_scan, selective_scan_reference)
    )
    for actual, expected in zip(*results, strict=True):
        assert relative_rms(actual, expected) <= TOLERANCES["selective_scan_float32"].limit


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x", torch.ones(1, 5, 4, 3), "argument_shape"),
        ("x", torch.ones(5, 4, 3, dtype=torch.int64), "argument_dtype"),
        ("dt", torch.ones(5, 2), "argument_shape"),
        ("dt", torch.ones(5, 4, dtype=torch.bool), "argument_dtype"),
        ("A", torch.ones(5), "argument_shape"),
        ("A", -torch.ones(4, dtype=torch.int64), "argument_dtype"),
        ("A", torch.tensor([-1.0, -1.0, 1e-3, -1.0]), "argument_value"),
        ("B", torch.ones(4, 2, 6), "argument_shape"),
        ("B", torch.ones(5, 2, 6, dtype=torch.int64), "argument_dtype"),
        ("C", torch.ones(5, 2, 7), "argument_shape"),
        ("C", torch.ones(5, 4, 6), "argument_shape"),
        ("C", torch.ones(5, 2, 6, dtype=torch.int64), "argument_dtype"),
        ("D", torch.ones(4, 3), "argument_shape"),
        ("D", torch.ones(4, dtype=torch.int64), "argument_dtype"),
        ("z", torch.ones(5, 4), "argument_shape"),
        ("z", torch.ones(5, 4, 3, dtype=torch.int64), "argument_dtype"),
        ("dt_bias", torch.ones(5, 4), "argument_shape"),
        ("dt_bias", torch.ones(4, dtype=torch.int64), "argument_dtype"),
        ("initial_state", torch.ones(2, 4, 3, 6), "argument_shape"),
        ("initial_state", torch.ones(1, 4, 6, 3), "argument_shape"),
        ("initial_state", torch.ones(2, 4, 6, 3, dtype=torch.int64), "argument_dtype"),
        ("cu_seqlens", torch.tensor([0, 2, 4]), "boundaries"),
        ("cu_seqlens", torch.tensor([0, 2, 2, 5]), "boundaries"),
        ("cu_seqlens", torch.tensor([0, 4, 2, 5]), "boundaries"),
        ("cu_seqlens", torch.tensor([0.0, 5.0]), "argument_dtype"),
        ("cu_seqlens", torch.tensor([[0, 5]]), "argument_shape"),
    ],
)
def test_the_error_names_the_argument(name: str, value: torch.Tensor, code: str) -> None:
    with pytest.raises(InputError, match=name) as caught:
        check(**{name: value})
    assert (caught.value.code, caught.value.item) == (code, name)


def test_heads_that_cannot_be_shared_equally_are_refused() -> None:
    rows = torch.ones(5, 3, 6)
    with pytest.raises(InputError, match="4 heads cannot share 3 groups") as caught:
        check(B=rows, C=rows)
    assert caught.value.item == "B"


@pytest.mark.parametrize("name", [*POSITIONAL, "D", "z", "dt_bias", "initial_state", "cu_seqlens"])
def test_an_argument_on_another_device_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} on meta"):
        check(**{name: good()[name].to("meta")})


def test_values_are_not_looked_at_where_that_would_wait_for_the_device() -> None:
    tensors = {name: value for name, value in good().items() if isinstance(value, torch.Tensor)}
    check(**{name: tensor.to("meta") for name, tensor in tensors.items()})


@pytest.mark.parametrize(
    "limits", [(-0.1, 1.0), (1.0, 1.0), (2.0, 1.0), (nan, 1.0), (0.0, nan)], ids=str
)
def test_limits_that_make_no_sense_are_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="dt_limit") as caught:
        check(dt_limit=limits)
    assert caught.value.code == "dt_limit"


@pytest.mark.parametrize(
    "limits", [None, "12", ("0", "1"), (1.0,), (0.0, 1.0, 2.0), (0.0, 10**400), 5], ids=str
)
def test_what_is_no_pair_of_numbers_is_no_limit(limits: object) -> None:
    given: dict[str, Any] = good() | {"chunk_size": 64, "dt_limit": limits}
    first = [given.pop(name) for name in POSITIONAL]
    # Without the checks of types that only the tests switch on.
    with pytest.raises(ConfigError, match="dt_limit is") as caught:
        unwrap(check_arguments)(*first, **given)
    assert caught.value.code == "dt_limit"


def test_odd_chunks_and_kernels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ConfigError, match="chunk_size is 48"):
        selective_scan(**good(), chunk_size=48)
    with pytest.raises(BackendError) as caught:
        selective_scan(**good(), impl="triton")
    assert caught.value.code == "kernel_unavailable"
    with pytest.raises(ConfigError, match="'mamba_ssm'; known: auto, triton, torch"):
        selective_scan(**good(), impl="mamba_ssm")
