"""Ratios of what is the same, and a refusal of what is not."""

from __future__ import annotations

from typing import Any

import pytest

from librehps.bench.compare import compare_reports, mean_ratio
from librehps.bench.report import Report, Row
from librehps.errors import ConfigError


def row(median_ms: float | None = 2.0, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "op": "swiglu",
        "preset": "nano",
        "dtype": "float32",
        "lengths": [5, 3],
        "passes": "forward",
        "implementation": "torch",
        "verdict": "timed",
        "median_ms": median_ms,
    }
    return Row(**(values | changes))


def report(*rows: Row) -> Report:
    return Report({}, [], list(rows))


def test_ratios_are_first_by_second() -> None:
    pairs = compare_reports(
        report(row(2.0), row(9.0, implementation="triton")),
        report(row(1.0, implementation="triton"), row(8.0)),
    )
    assert [pair.ratio for pair in pairs] == [0.25, 9.0]
    assert mean_ratio(pairs) == pytest.approx(1.5)


def test_what_was_not_timed_in_both_has_no_ratio() -> None:
    pairs = compare_reports(report(row(None)), report(row(3.0)))
    assert [pair.ratio for pair in pairs] == [None]
    assert mean_ratio(pairs) is None


@pytest.mark.parametrize(
    "change",
    [
        {"lengths": [8]},
        {"lengths": [3, 5]},
        {"dtype": "bfloat16"},
        {"preset": "4b"},
        {"passes": "both"},
        {"op": "rotary"},
    ],
    ids=str,
)
def test_differing_shapes_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="2 shapes are in one of the two only") as caught:
        compare_reports(report(row()), report(row(**change)))
    assert caught.value.code == "bench_shapes"


def test_reports_without_a_shared_implementation_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        compare_reports(report(row()), report(row(implementation="triton")))
    assert caught.value.code == "bench_nothing_shared"
