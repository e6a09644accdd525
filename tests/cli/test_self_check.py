"""The doctor's checks pass on a sound installation and fail on one that computes wrongly."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from librehps.cli import self_check
from librehps.cli.self_check import OPS, check_backbone, check_op, relative_difference
from librehps.kernels.backend import TRITON_OPS

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", list(OPS))
def test_every_op_agrees_with_its_definition(name: str) -> None:
    check = check_op(name, CPU)
    assert check.verdict == "passed", check
    assert check.difference is not None
    assert 0 < check.difference <= check.limit


@pytest.mark.parametrize("name", list(OPS))
def test_an_op_that_is_slightly_wrong_fails(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case, op, reference = OPS[name]

    def wrong(*arguments: Any, **options: Any) -> Any:
        out = op(*arguments, **options)
        return out * 1.0001 if isinstance(out, torch.Tensor) else (out[0] * 1.0001, *out[1:])

    monkeypatch.setitem(self_check.OPS, name, (case, wrong, reference))
    check = check_op(name, CPU)
    assert check.verdict == "failed"
    assert check.shown_difference == "1.0e-04"


def test_no_op_is_left_out() -> None:
    assert set(OPS) == {*TRITON_OPS, "attention"}


def test_an_op_that_breaks_fails_with_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    case, _, reference = OPS["swiglu"]

    def broken(*_: Any) -> Any:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setitem(self_check.OPS, "swiglu", (case, broken, reference))
    check = check_op("swiglu", CPU)
    assert (check.verdict, check.difference, check.shown_difference) == ("failed", None, "-")
    assert "no kernel image" in check.detail


def test_nan_is_never_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    case, _, reference = OPS["swiglu"]
    poisoned = (case, lambda gate, _: torch.full_like(gate, float("nan")), reference)
    monkeypatch.setitem(self_check.OPS, "swiglu", poisoned)
    check = check_op("swiglu", CPU)
    assert (check.verdict, check.difference) == ("failed", None)
    assert check.detail == "the result is not finite"
    nan = torch.tensor([1.0, float("nan")])
    assert relative_difference(nan, torch.ones(2)) == float("inf")
    assert relative_difference(torch.ones(2), torch.ones(2)) == 0.0


def test_the_backbone_agrees_with_the_stock_one() -> None:
    check = check_backbone(CPU)
    assert check.verdict == "passed", check
    assert check.difference is not None
    assert 0 < check.difference <= check.limit
    assert check.detail.startswith("transformers ")


def test_without_transformers_the_backbone_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "find_spec", lambda _: None)
    check = check_backbone(CPU)
    assert (check.verdict, check.difference) == ("skipped", None)
    assert "not installed" in check.detail
