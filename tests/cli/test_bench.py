"""``librehps bench``: a table or JSON, files, and a status for scripts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from librehps.bench import run
from librehps.bench.cases import OPS
from librehps.bench.roofline import Roof
from librehps.cli.main import app

SMALL = ("--op", "swiglu", "--tokens", "16", "--seconds", "0.001")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its interpreter is no implementation to measure.
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(run, "measure_roof", lambda *_, **__: Roof("float32", 1e9, 1e10))


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["bench", *arguments])


def test_the_table_has_a_row_for_each_measurement() -> None:
    result = bench("ops", *SMALL)
    assert result.exit_code == 0, result.output
    header, *lines = result.stdout.splitlines()
    assert header.split("\t")[:4] == ["op", "shape", "pass", "implementation"]
    first = ["swiglu", "nano float32 16", "forward", "torch"]
    assert lines[0].split("\t")[:4] == first
    assert lines[-1] == "roof: copy 1.0 GB/s, float32 matrix product 10.0 GFLOP/s"


def test_files_are_written_and_compared(tmp_path: Path) -> None:
    before, after = (str(tmp_path / f"{name}.json") for name in ("before", "after"))
    plot = tmp_path / "plot.png"
    assert bench("ops", *SMALL, "--out", before, "--plot", str(plot)).exit_code == 0
    result = bench("ops", *SMALL, "--out", after, "--json")
    assert json.loads(result.stdout) == json.loads(Path(after).read_text())
    assert plot.read_bytes().startswith(b"\x89PNG")

    result = bench("compare", before, after)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1].startswith("swiglu\tnano float32 16\tforward\ttorch\t")
    result = bench("compare", before, before, "--json", "--plot", str(tmp_path / "both.png"))
    assert json.loads(result.stdout)["mean_ratio"] == pytest.approx(1)
    assert (tmp_path / "both.png").is_file()


def test_other_shapes_are_not_compared(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{tokens}.json") for tokens in ("8", "9")]
    for path, tokens in zip(paths, ("8", "9"), strict=True):
        bench("ops", "--op", "swiglu", "--tokens", tokens, "--seconds", "0.001", "--out", path)
    result = bench("compare", *paths)
    assert result.exit_code == 2
    assert "[bench_shapes]" in result.output


def test_a_red_gate_is_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*, impl: str, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return gate + up

    monkeypatch.setitem(OPS._entries, "swiglu", replace(OPS["swiglu"], call=wrong))
    result = bench("ops", *SMALL)
    assert result.exit_code == 1
    assert "swiglu, torch: red: differs from the definition" in result.output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--op", "swigloo"), "name_unknown"),
        (("--preset", "5b"), "name_unknown"),
        (("--dtype", "int8"), "name_unknown"),
        (("--pass", "backward"), "name_unknown"),
        (("--tokens", "0"), "bench_tokens"),
        (("--tokens", "300,x"), "bench_tokens"),
        (("--tokens", "0x8"), "bench_tokens"),
        (("--tokens", "8x"), "bench_tokens"),
        (("--tokens", "2x3x4"), "bench_tokens"),
        (("--tokens", "1024x1025"), "bench_tokens"),
        (("--tokens", "1048577"), "bench_tokens"),
        (("--device", "cuda:7"), "device_unavailable"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], code: str) -> None:
    result = bench("ops", *arguments)
    assert result.exit_code == 2
    assert f"[{code}]" in result.output
