"""A run: no time without a green gate, and what cannot run says why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from librehps.bench import run as run_module
from librehps.bench.cases import OPS, Op, Shape
from librehps.bench.peers import Peer
from librehps.bench.report import Report
from librehps.bench.roofline import Roof
from librehps.bench.run import Plan, run_plan, shapes_of
from librehps.bench.timing import Timing

CPU = torch.device("cpu")
SHAPE = Shape("nano", (5, 3), torch.float32)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is tested beside it; triton's interpreter is no implementation to measure."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(run_module, "measure_roof", lambda *_, **__: Roof("float32", 1e9, 1e9))

    def call_once(call: Any, device: torch.device, *, seconds: float) -> Timing:
        call()
        return Timing.of([2.0, 4.0, 6.0])

    monkeypatch.setattr(run_module, "time_calls", call_once)


def measured_with(monkeypatch: pytest.MonkeyPatch, op: Op) -> Plan:
    monkeypatch.setitem(OPS._entries, "swiglu", op)
    return Plan(["swiglu"], [SHAPE], CPU)


def test_each_row_has_its_work_its_time_and_its_memory() -> None:
    steps: list[int] = []
    plan = Plan(["swiglu"], [SHAPE], CPU)
    report = run_plan(plan, advance=steps.append)
    assert steps == [1] * len(plan) == [1] * len(report.rows)
    forward, both = (row for row in report.rows if row.implementation == "torch")
    elements = 8 * 320
    assert (forward.passes, both.passes) == ("forward", "both")
    assert (forward.operations, both.operations) == (4 * elements, 12 * elements)
    assert (forward.bytes, both.bytes) == (12 * elements, 4 * elements * (2 * 3 + 2))
    assert (forward.median_ms, forward.best_ms, forward.worst_ms) == (4.0, 2.0, 6.0)
    assert forward.roof_ms == pytest.approx(1e3 * 12 * elements / 1e9)
    assert forward.share_of_roof == pytest.approx(forward.roof_ms / 4.0)
    assert forward.peak_bytes is not None
    assert both.peak_bytes is not None
    assert 4 * elements <= forward.peak_bytes < both.peak_bytes
    assert forward.error is not None
    assert forward.error < 1e-6


def test_what_was_measured_is_kept_after_each_op() -> None:
    kept: list[Report] = []
    report = run_plan(Plan(["swiglu", "rms_norm"], [SHAPE], CPU), keep=kept.append)
    assert [{one.op for one in part.rows} for part in kept] == [
        {"swiglu"},
        {"swiglu", "rms_norm"},
    ]
    assert kept[-1] == report
    assert len(kept[0].rows) < len(report.rows)


def test_what_cannot_run_here_says_why() -> None:
    rows = run_plan(Plan(["swiglu", "attention"], [SHAPE], CPU)).rows
    reasons = {row.implementation: row.detail for row in rows if row.verdict == "unavailable"}
    assert set(reasons) == {"triton", "fa2", "fa4"}
    assert all("needs a CUDA device" in reason for reason in reasons.values())
    assert {row.implementation for row in rows if row.verdict == "timed"} == {
        *("torch", "sdpa", "eager")
    }


def test_what_is_wrong_is_never_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*, impl: str, **given: Any) -> torch.Tensor:
        return given["gate"] * given["up"]

    monkeypatch.setattr(run_module, "time_calls", lambda *_, **__: pytest.fail("timed"))
    op = replace(OPS["swiglu"], call=wrong, implementations=("torch",))
    rows = run_plan(measured_with(monkeypatch, op)).rows
    assert {(row.verdict, row.median_ms) for row in rows} == {("red", None)}
    assert all(row.error is not None and row.error > 0.1 for row in rows)


def test_a_result_that_is_not_finite_at_the_timed_length_is_red(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = OPS["swiglu"]

    def breaks(*, impl: str, **given: Any) -> torch.Tensor:
        y = whole.call(**given)
        return y / 0 if len(y) == SHAPE.tokens else y

    op = replace(whole, call=breaks, implementations=("torch",))
    rows = run_plan(measured_with(monkeypatch, op)).rows
    assert {(row.verdict, row.median_ms) for row in rows} == {("red", None)}


def test_an_exception_is_a_finding_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*, impl: str, **given: Any) -> torch.Tensor:
        raise RuntimeError("no kernel image\nmore lines")

    op = replace(OPS["swiglu"], call=broken, implementations=("torch",))
    plan = replace(measured_with(monkeypatch, op), ops=["swiglu", "rms_norm"])
    rows = run_plan(plan).rows
    found = {row.detail for row in rows if row.op == "swiglu"}
    assert found == {"RuntimeError: no kernel image"}
    assert any(row.verdict == "timed" for row in rows if row.op == "rms_norm")


def test_peers_run_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    forward_only = Peer(
        *("swiglu", "other", "torch", "torch"),
        wrap=lambda module: OPS["swiglu"].call,
        has_backward=False,
    )
    monkeypatch.setattr(run_module, "PEERS", (forward_only,))
    plan = Plan(["swiglu"], [SHAPE], CPU)
    assert "other" not in {row.implementation for row in run_plan(plan).rows}

    ours = run_module._implementations

    def with_peers(plan: Plan, name: str) -> dict[str, Any]:
        # As on a GPU, which is what they need.
        return ours(plan, name) | {"other": forward_only}

    monkeypatch.setattr(run_module, "_implementations", with_peers)
    rows = [row for row in run_plan(plan).rows if row.implementation == "other"]
    assert [row.verdict for row in rows] == ["timed", "unavailable"]
    assert rows[1].detail == "it has no backward pass"


def test_shapes_are_one_long_and_many_short() -> None:
    shapes = shapes_of(["nano"], [300, 2048], [torch.float32])
    assert [len(shape.lengths) for shape in shapes] == [1, 1, 6]
    assert [shape.tokens for shape in shapes] == [300, 2048, 2048]
    assert len(set(shapes[2].lengths)) > 2
    asked = shapes_of(["nano"], [(5, 7), 300], [torch.float32])
    assert [shape.lengths for shape in asked] == [(5, 7), (300,)]
    many = shapes_of(["nano"], [32768], [torch.float32])[1]
    assert (many.tokens, len(many.lengths), min(many.lengths) > 250) == (32768, 109, True)
