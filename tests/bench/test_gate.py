"""What is wrong does not pass the gate, in its result or in one gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from librehps.bench.cases import OPS, Shape
from librehps.bench.gate import LIMITS, gate_error, leaves_of
from librehps.testing.tolerances import TOLERANCES

CPU = torch.device("cpu")
NANO = Shape("nano", (8,), torch.float32)


@pytest.mark.parametrize("name", ["attention", "selective_scan", "rotary", "swiglu"])
def test_ours_pass_with_room(name: str) -> None:
    error = gate_error(OPS[name], OPS[name].call, NANO, CPU, backward=True)
    assert 0 < error < LIMITS[torch.float32] / 5


def test_rounding_to_bfloat16_passes_its_limit() -> None:
    shape = Shape("nano", (8,), torch.bfloat16)
    error = gate_error(OPS["swiglu"], OPS["swiglu"].call, shape, CPU, backward=True)
    assert LIMITS[torch.float32] < error < LIMITS[torch.bfloat16] / 3


def test_a_wrong_value_is_seen() -> None:
    def wrong(**given: Any) -> torch.Tensor:
        return OPS["swiglu"].call(**given) * 1.001

    assert gate_error(OPS["swiglu"], wrong, NANO, CPU, backward=False) == pytest.approx(1e-3, 1e-2)


def test_a_wrong_gradient_is_seen() -> None:
    def forgetful(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return OPS["swiglu"].call(gate=gate, up=up.detach())

    assert gate_error(OPS["swiglu"], forgetful, NANO, CPU, backward=False) < 1e-6
    assert gate_error(OPS["swiglu"], forgetful, NANO, CPU, backward=True) == pytest.approx(1.0)


def test_a_nan_is_infinitely_wrong() -> None:
    def poisoned(**given: Any) -> torch.Tensor:
        y = OPS["swiglu"].call(**given)
        y[0, 0] = float("nan")
        return y

    assert gate_error(OPS["swiglu"], poisoned, NANO, CPU, backward=False) == float("inf")


def test_the_first_of_several_results_is_enough() -> None:
    def without_state(**given: Any) -> tuple[torch.Tensor]:
        return OPS["causal_conv1d"].call(**given)[:1]

    op = OPS["causal_conv1d"]
    assert gate_error(op, without_state, NANO, CPU, backward=True) < LIMITS[torch.float32]


def test_only_what_has_a_gradient_records_one() -> None:
    case = OPS["rotary"].make(NANO)
    leaves = leaves_of(case, case.tensors)
    assert {name for name, tensor in leaves.items() if tensor.requires_grad} == {"x"}


def test_the_gate_is_no_wider_than_what_the_tests_allow_a_kernel() -> None:
    for dtype, limit in LIMITS.items():
        ending = str(dtype).removeprefix("torch.")
        allowed = [
            entry.limit
            for name, entry in TOLERANCES.items()
            if name.endswith(f"_triton_{ending}") or name == f"norms_{ending}"
        ]
        assert limit == max(allowed)
