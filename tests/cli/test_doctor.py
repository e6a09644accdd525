"""``librehps doctor``: a report for people and for programs, and a status for scripts."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from librehps.cli import self_check
from librehps.cli.main import app
from librehps.cli.self_check import Check, check_op


@pytest.fixture(autouse=True)
def few_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks themselves are tested beside them."""
    monkeypatch.setattr(
        self_check,
        "run_checks",
        lambda: [
            check_op("rms_norm", self_check.torch.device("cpu")),
            Check("backbone", "cpu", "skipped", None, 1e-5, "transformers is not installed"),
        ],
    )


def test_the_report_names_everything() -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    for word in (
        "torch\t",
        "cpu (default)",
        "attention\tsdpa: ",
        "rms_norm\tcpu\tpassed",
        "skipped",
    ):
        assert word in result.stdout
    assert result.stdout.endswith("everything agrees\n")


def test_json_is_one_document() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["healthy"] is True
    assert document["versions"]["torch"]
    assert document["devices"][0]["attention"] == "sdpa"
    assert document["checks"][0]["verdict"] == "passed"
    assert 0 < document["checks"][0]["difference"] <= document["checks"][0]["limit"]
    assert document["checks"][1]["difference"] is None


@pytest.mark.parametrize("as_json", [True, False])
def test_a_failed_check_is_status_1(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    failed = Check("attention", "cpu", "failed", 0.25, 1e-5, "its definition")
    monkeypatch.setattr(self_check, "run_checks", lambda: [failed])
    result = CliRunner().invoke(app, ["doctor", *(["--json"] if as_json else [])])
    assert result.exit_code == 1
    if as_json:
        assert json.loads(result.stdout)["healthy"] is False
    else:
        assert "something is wrong" in result.stdout
