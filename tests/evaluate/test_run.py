"""Evaluations from beginning to end: what is written, what is left out, and a kill midway."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from librehps.errors import ConfigError, InputError
from librehps.evaluate.identity import ScorerIdentity
from librehps.evaluate.run import Evaluation, ModelCard, SuiteRequest, evaluate, identify
from librehps.evaluate.score_cache import Outcome
from librehps.evaluate.scored import read_scored
from librehps.results import AxisScore, Score
from librehps.scorer import LibreHPS
from librehps.testing.tiny import make_tiny_checkpoint

CARD = ModelCard("stub", True, ScorerIdentity("sha256:0", {"dtype": "float32"}))
COUNT = 150


class Stub:
    """Scores by the name of the file, and in its last bits by what is scored with it."""

    deterministic = False

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.scored = 0

    def score_images(
        self,
        *,
        images: Sequence[Path],
        prompts: Sequence[str],
        on_error: str,
        max_batch_tokens: int,
    ) -> list[Outcome]:
        assert on_error == "return"
        time.sleep(self.delay)
        self.scored += len(images)
        shift = 1e-7 * sum(map(len, prompts))
        return [
            InputError("is no image", code="image_damaged")
            if image.read_bytes() == b"bad"
            else Score(overall=AxisScore(hash_of(image.name) + shift), style=AxisScore(shift))
            for image in images
        ]


def hash_of(name: str) -> float:
    return sum(map(ord, name)) * 2654435761 % 1000 / 250


def write_data(folder: Path, *, count: int = COUNT, bad: Sequence[str] = ()) -> Path:
    (folder / "images").mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for n in range(count):
        for side in (1, 2):
            name = f"{n}-{side}.png"
            data = b"bad" if name in bad else name.encode()
            (folder / "images" / name).write_bytes(data)
        images = {f"path{side}": f"images/{n}-{side}.png" for side in (1, 2)}
        # Some are lost by the higher score, or a calibrator would be refused.
        votes = [4, 1] if n % 3 else [2, 3]
        rows.append({"prompt": f"prompt {n // 2}", "choice_dist": votes, **images})
    (folder / "test.json").write_text(json.dumps(rows))
    return folder


def run(data: Path, out: Path, scorer: Stub | None = None, **options: Any) -> Evaluation:
    requests = [SuiteRequest("hpdv3", data)]
    return evaluate(scorer or Stub(), CARD, requests, out=out, **options)


def without_time(path: Path) -> str:
    lines = path.read_text().splitlines(keepends=True)
    # Once in either kind of report: a key of the one, a name of an element in the other.
    assert sum('"created"' in line for line in lines) == 1
    return "".join(line for line in lines if '"created"' not in line)


def test_the_folder_has_every_number_and_what_it_is_made_of(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    found = run(data, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "pairs.jsonl",
        "report.html",
        "report.json",
        "scores",
    ]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report == found.report
    assert report["model"]["fingerprint"] == "sha256:0"
    (suite,) = report["suites"]
    assert (suite["num_rows"], suite["num_pairs"], suite["suite"]) == (COUNT, COUNT, "hpdv3")
    axis = suite["axes"]["overall"]
    pairs = read_scored(tmp_path / "out" / "pairs.jsonl")
    assert [pair.global_index for pair in pairs] == list(range(COUNT))
    held_out = [pair for pair in pairs if not pair.for_fitting]
    assert axis["num_pairs"] == len(held_out) < COUNT
    right = [
        (pair.scores_a["overall"].mean - pair.scores_b["overall"].mean)
        * (pair.targets["overall"] - 0.5)
        > 0
        for pair in held_out
    ]
    assert axis["accuracy"]["value"] == pytest.approx(sum(right) / len(right))
    assert axis["tie_rule"]["name"] == "strict"
    # Nobody was asked about style, so that nothing is said of it.
    assert list(suite["axes"]) == ["overall"]
    assert report["aggregate"]["accuracy"] == pytest.approx(axis["accuracy"]["value"])


def test_a_second_run_scores_nothing(tmp_path: Path) -> None:
    data, stub = write_data(tmp_path / "data"), Stub()
    run(data, tmp_path / "out", stub)
    assert stub.scored == 2 * COUNT
    first = without_time(tmp_path / "out" / "report.json")
    run(data, tmp_path / "out", stub)
    run(data, tmp_path / "other", stub, cache=tmp_path / "out" / "scores")
    assert stub.scored == 2 * COUNT
    assert without_time(tmp_path / "other" / "report.json") == first
    limited = run(data, tmp_path / "out", stub, limit=30, tie_rule="half_credit")
    assert stub.scored == 2 * COUNT
    assert len(limited.pairs) == 30
    assert limited.suites[0].axes["overall"].tie_rule.name == "half_credit"


def test_a_kill_changes_no_byte_of_the_report(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    run(data, tmp_path / "whole")
    out = tmp_path / "killed"
    # This file itself, which then evaluates: see its end.
    process = subprocess.Popen([sys.executable, __file__, str(data), str(out)])
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if any(path.read_bytes().count(b"\n") > 1 for path in out.glob("scores/*.jsonl")):
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "report.json").exists()
    stub = Stub()
    run(data, out, stub)
    assert 0 < stub.scored < 2 * COUNT
    for name in ("report.json", "report.html", "pairs.jsonl"):
        whole, killed = tmp_path / "whole" / name, out / name
        if name.startswith("report"):
            assert without_time(killed) == without_time(whole)
        else:
            assert killed.read_bytes() == whole.read_bytes()


def test_a_page_is_written_only_if_it_is_wanted(tmp_path: Path) -> None:
    data, page = write_data(tmp_path / "data"), tmp_path / "out" / "report.html"
    run(data, tmp_path / "out")
    # The files hold no pictures here, which the page says in their places.
    assert "no picture: not an image that is read here" in page.read_text()
    first = (tmp_path / "out" / "report.json").read_text()
    run(data, tmp_path / "out", page=False)
    assert not page.exists()
    assert (
        json.loads(first)["suites"]
        == json.loads((tmp_path / "out" / "report.json").read_text())["suites"]
    )


def test_bad_pictures_are_counted_and_listed(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", bad=["3-1.png", "9-2.png"])
    (data / "images" / "5-1.png").unlink()
    found = run(data, tmp_path / "out", max_bad_share=0.02)
    assert len(found.bad_items) == 3
    assert {pair.global_index for pair in found.pairs} == set(range(COUNT)) - {3, 5, 9}
    listed = (tmp_path / "out" / "bad-items.jsonl").read_text().splitlines()
    codes = {Path(row["image"]).name: row["code"] for row in map(json.loads, listed)}
    assert codes == {
        "3-1.png": "image_damaged",
        "5-1.png": "image_missing",
        "9-2.png": "image_damaged",
    }
    assert found.report["num_bad_items"] == 3
    with pytest.raises(InputError) as caught:
        run(data, tmp_path / "strict", max_bad_share=0.0)
    assert caught.value.code == "evaluation_bad_items"
    assert (tmp_path / "strict" / "bad-items.jsonl").exists()
    assert not (tmp_path / "strict" / "report.json").exists()


def test_what_makes_no_sense_is_refused_before_anything_is_scored(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", count=2)
    stub, out = Stub(), tmp_path / "out"
    twice = [SuiteRequest("hpdv3", data)] * 2
    for requests, options, code in (
        (twice, {}, "evaluation_suites"),
        ([], {}, "evaluation_suites"),
        ([SuiteRequest("hpdv4", data)], {}, "name_unknown"),
        (twice[:1], {"tie_rule": "none"}, "name_unknown"),
        (twice[:1], {"max_bad_share": 1.5}, "evaluation_value"),
    ):
        with pytest.raises(ConfigError) as caught:
            evaluate(stub, CARD, requests, out=out, **options)
        assert caught.value.code == code
    assert stub.scored == 0
    assert not out.exists()


def test_an_identity_says_what_runs(tmp_path: Path) -> None:
    make_tiny_checkpoint(tmp_path / "model")
    scorer = LibreHPS.from_pretrained(tmp_path / "model", device="cpu", dtype="float32")
    found = identify(scorer, tmp_path / "model")
    assert found.model.startswith("sha256:")
    assert found.settings["dtype"] == "float32"
    # Resolved, so that "auto" and what it stands for share their scores.
    assert found == identify(scorer, tmp_path / "model", attn_impl="sdpa", kernel_impl="torch")
    assert found != identify(scorer, tmp_path / "model", attn_impl="eager")


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), Stub(delay=0.5))
