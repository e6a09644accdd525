"""Reports survive a file, and a file that is none is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from librehps.bench.peers import PEERS
from librehps.bench.report import MAX_BYTES, Report, Row, machine, read_report, write_report
from librehps.bench.roofline import Roof
from librehps.errors import InputError


def row(**changes: Any) -> Row:
    values: dict[str, Any] = {
        "op": "swiglu",
        "preset": "nano",
        "dtype": "float32",
        "lengths": [5, 3],
        "passes": "forward",
        "implementation": "torch",
        "verdict": "timed",
        "median_ms": 2.0,
        "roof_ms": 1.0,
        "operations": 10,
        "bytes": 20,
        "peak_bytes": 4,
    }
    return Row(**(values | changes))


def report(*rows: Row) -> Report:
    return Report({"name": "a machine"}, [Roof("float32", 1e9, 1e10)], list(rows))


def test_a_report_survives_a_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.json"
    whole = report(row(), row(implementation="triton", verdict="unavailable", median_ms=None))
    write_report(path, whole)
    assert read_report(path) == whole
    assert whole.rows[0].share_of_roof == 0.5
    assert whole.rows[1].share_of_roof is None


def test_the_machine_says_what_one_must_know() -> None:
    facts = machine(torch.device("cpu"))
    assert facts["device"] == "cpu"
    assert facts["name"]
    assert facts["versions"]["torch"] == torch.__version__
    # Of other people's packages too, whose times stand beside ours.
    assert {peer.distribution for peer in PEERS} <= set(facts["versions"])
    assert facts["date"][:2] == "20"
    assert facts["commit"] is None or len(facts["commit"]) >= 7
    json.dumps(facts)


@pytest.mark.parametrize(
    "changes",
    [
        {"benchmark": "model"},
        {"format": 2},
        {"rows": [{}]},
        {"rows": ["x"]},
        {"rows": {}} | {"roofs": None},
        {"machine": []},
        {"rows": [{"op": 5}]},
        {"roofs": [{"dtype": "float32", "bytes_per_second": "fast"}]},
        {"roofs": [{"dtype": "float32", "bytes_per_second": 0.0, "operations_per_second": 1e9}]},
        {"machine": {"load_average": [float("nan")]}},
        {"machine": {"name": "\ud800"}},
    ],
    ids=str,
)
def test_what_is_no_report_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report(row()).to_dict() | changes))
    with pytest.raises(InputError) as caught:
        read_report(path)
    assert (caught.value.code, caught.value.item) == ("bench_report", str(path))


@pytest.mark.parametrize("name", ["lengths", "median_ms", "peak_bytes", "verdict"])
@pytest.mark.parametrize("value", [True, {}, [0], [1.5], ["a"]], ids=str)
def test_a_row_with_a_value_of_another_kind_is_refused(
    name: str, value: Any, tmp_path: Path
) -> None:
    document = report(row()).to_dict()
    document["rows"][0][name] = value
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="not understood"):
        read_report(path)


@pytest.mark.parametrize("name", ["median_ms", "best_ms", "roof_ms"])
@pytest.mark.parametrize(
    "value", [-1.0, 0.0, 5e-324, 1e300, 10**400, float("nan"), float("inf")], ids=str
)
def test_a_time_that_cannot_have_been_is_refused(name: str, value: Any, tmp_path: Path) -> None:
    document = report(row()).to_dict()
    document["rows"][0][name] = value
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=f"not understood: {name}"):
        read_report(path)


def test_a_row_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report(row(), row()).to_dict()))
    with pytest.raises(InputError, match="is there twice"):
        read_report(path)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("bench") / "report.json"
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_report(path)


def test_files_that_are_missing_or_huge_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_report(tmp_path / "missing.json")
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match="more than"):
        read_report(path)


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        write_report(tmp_path / "file" / "report.json", report(row()))
    assert caught.value.code == "out_unwritable"
