"""Evaluations from beginning to end: what is written, what is left out, and a kill midway."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from librehps.data.sources import HPDv3Source
from librehps.errors import ConfigError, InputError
from librehps.evaluate.identity import ScorerIdentity
from librehps.evaluate.pictures import PictureSource
from librehps.evaluate.run import Evaluation, ModelCard, SuiteRequest, evaluate, identify
from librehps.evaluate.score_cache import Outcome
from librehps.evaluate.scored import read_scored
from librehps.evaluate.source_suite import SourceSuite
from librehps.evaluate.suite import SuiteOptions
from librehps.results import AxisScore, Score
from librehps.scorer import LibreHPS
from librehps.testing.tiny import make_tiny_checkpoint
from tests.evaluate import suite_samples

CARD = ModelCard("stub", True, ScorerIdentity("sha256:0", {"dtype": "float32"}))
COUNT = 150


class Stub:
    """Scores by the bytes of the file, and in its last bits by what is scored with it."""

    deterministic = False

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.scored = 0
        self.kinds: set[type] = set()

    def score_images(
        self,
        *,
        images: Sequence[PictureSource],
        prompts: Sequence[str],
        on_error: str,
        max_batch_tokens: int,
    ) -> list[Outcome]:
        assert on_error == "return"
        time.sleep(self.delay)
        self.scored += len(images)
        self.kinds |= {bytes if isinstance(image, bytes) else Path for image in images}
        shift = 1e-7 * sum(map(len, prompts))
        read = [image if isinstance(image, bytes) else image.read_bytes() for image in images]
        return [
            InputError("is no image", code="image_damaged")
            if data == b"bad"
            else Score(overall=AxisScore(hash_of(data) + shift), style=AxisScore(shift))
            for data in read
        ]


def hash_of(data: bytes) -> float:
    return sum(data) * 2654435761 % 1000 / 250


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


def run(
    data: Path, out: Path, scorer: Stub | None = None, *, suite: str = "hpdv3", **options: Any
) -> Evaluation:
    return evaluate(scorer or Stub(), CARD, [SuiteRequest(suite, data)], out=out, **options)


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


def rankings(folder: Path) -> Path:
    folder.mkdir()
    return suite_samples.hpdv2(folder, count=50)


def in_parquet(folder: Path) -> Path:
    folder.mkdir()
    return suite_samples.pickapic(folder, count=120)


@pytest.mark.parametrize(
    ("suite", "write", "num_items"),
    [("hpdv3", write_data, 2 * COUNT), ("hpdv2", rankings, 200), ("pickapic", in_parquet, 180)],
)
def test_a_kill_changes_no_byte_of_the_report(
    suite: str, write: Callable[[Path], Path], num_items: int, tmp_path: Path
) -> None:
    data = write(tmp_path / "data")
    run(data, tmp_path / "whole", suite=suite)
    out = tmp_path / "killed"
    # This file itself, which then evaluates: see its end.
    command = [sys.executable, "-m", "tests.evaluate.test_run", suite, str(data), str(out)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if any(path.read_bytes().count(b"\n") > 1 for path in out.glob("scores/*.jsonl")):
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "report.json").exists()
    stub = Stub()
    run(data, out, stub, suite=suite)
    assert 0 < stub.scored < num_items
    written = sorted(path.name for path in (tmp_path / "whole").iterdir() if path.is_file())
    assert written == sorted(path.name for path in out.iterdir() if path.is_file())
    for name in written:
        whole, killed = tmp_path / "whole" / name, out / name
        if name.startswith("report"):
            assert without_time(killed) == without_time(whole)
        else:
            assert killed.read_bytes() == whole.read_bytes()


def test_rankings_are_measured_and_written(tmp_path: Path) -> None:
    found = run(rankings(tmp_path / "data"), tmp_path / "out", suite="hpdv2")
    (suite,) = found.report["suites"]
    assert (suite["suite"], suite["name"]) == ("hpdv2", "hpdv2/test")
    assert (suite["num_rankings"], suite["num_pairs"], suite["num_ratings"]) == (50, 300, 0)
    ranked, axis = suite["rankings"], suite["axes"]["overall"]
    lines = (tmp_path / "out" / "rankings.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if not row["for_fitting"]]
    assert ranked["num_rankings"] == len(rows) == ranked["accuracy"]["num_clusters"] < 50
    assert axis["num_pairs"] == 6 * len(rows)
    # All prompts differ, so that both are the mean over prompts.
    assert ranked["tie_rule"]["name"] == "hpsv2"
    assert ranked["accuracy"]["value"] == pytest.approx(axis["accuracy"]["value"])

    def inversion_score(row: dict[str, Any]) -> float:
        scores = [one["overall"]["mean"] for one in row["scores"]]
        wrong = sum(
            (row["ranks"][i] - row["ranks"][j]) * (scores[i] - scores[j]) > 0
            for i in range(4)
            for j in range(i)
        )
        return 1 - wrong / 6

    expected = sum(map(inversion_score, rows)) / len(rows)
    assert ranked["accuracy"]["value"] == pytest.approx(expected)
    assert f"{ranked['kendall_tau_b_per_prompt']['value']:.4f}" in (
        (tmp_path / "out" / "report.html").read_text()
    )
    limited = run(tmp_path / "data", tmp_path / "out", suite="hpdv2", limit=20)
    assert limited.report["suites"][0]["num_rankings"] == 20
    run(write_data(tmp_path / "pairs"), tmp_path / "out")
    assert not (tmp_path / "out" / "rankings.jsonl").exists()


def test_pictures_inside_rows_are_scored_and_shown_and_written_nowhere(tmp_path: Path) -> None:
    data, stub = in_parquet(tmp_path / "data"), Stub()
    run(data, tmp_path / "out", stub, suite="pickapic")
    assert (stub.kinds, stub.scored) == ({bytes}, 180)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert "no picture" not in page
    (pair, *_) = read_scored(tmp_path / "out" / "pairs.jsonl")
    assert pair.image_a.startswith("sha256:")
    assert len(list(data.iterdir())) == 2
    # The same pictures as files of their own are the same pictures to the cache.
    row = {"image_a": "a.png", "image_b": "b.png", "target": 1.0, "prompt": "prompt 0"}
    (tmp_path / "pair.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "a.png").write_bytes(suite_samples.png(0, 1))
    (tmp_path / "b.png").write_bytes(suite_samples.png(1, 2))
    own = [SuiteRequest("jsonl", tmp_path / "pair.jsonl", SuiteOptions(share=0.0))]
    evaluate(stub, CARD, own, out=tmp_path / "own", cache=tmp_path / "out" / "scores")
    assert stub.scored == 180


def test_marks_alone_are_measured(tmp_path: Path) -> None:
    data = suite_samples.imagereward(tmp_path, count=20)
    found = run(data, tmp_path / "out", suite="imagereward-ratings")
    (suite,) = found.report["suites"]
    assert (suite["num_pairs"], suite["num_ratings"], suite["axes"]) == (0, 180, {})
    # The stub has no score on the two other axes, and nothing else takes their place.
    assert list(suite["ratings"]) == ["overall"]
    overall = suite["ratings"]["overall"]
    assert (overall["judged_by"], overall["num_ratings"]) == ("overall", 60)
    assert -1 < overall["spearman_rho"]["low"] < overall["spearman_rho"]["high"] < 1
    assert len((tmp_path / "out" / "ratings.jsonl").read_text().splitlines()) == 180
    assert found.aggregate is None
    assert "Pearson" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize("suite", ["videoalign", "videogen-rewardbench"])
def test_videos_are_refused_before_any_work(suite: str, tmp_path: Path) -> None:
    stub = Stub()
    requests = [
        SuiteRequest("hpdv3", write_data(tmp_path / "data", count=2)),
        SuiteRequest(suite, suite_samples.videos(tmp_path)),
    ]
    with pytest.raises(ConfigError, match="pictures only") as caught:
        evaluate(stub, CARD, requests, out=tmp_path / "out")
    assert (caught.value.code, caught.value.item) == ("suite_video", suite)
    assert stub.scored == 0
    assert not (tmp_path / "out").exists()


def test_a_suite_may_be_handed_over(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    named = run(data, tmp_path / "named")
    own = SourceSuite(
        source=HPDv3Source(),
        description="the same",
        takes="file",
        name="hpdv3",
    )
    requests = [SuiteRequest(own, data / "test.json")]
    found = evaluate(Stub(), CARD, requests, out=tmp_path / "own", tie_rule="half_credit")
    assert found.report["suites"][0]["suite"] == "SourceSuite"
    assert found.pairs == named.pairs


def test_bad_rows_are_counted_and_listed_also_where_they_are_too_many(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    rows = json.loads((data / "test.json").read_text())
    rows[7]["path1"] = "../outside.png"
    (data / "test.json").write_text(json.dumps(rows))
    found = run(data, tmp_path / "out", max_bad_share=0.02)
    assert found.num_bad_rows == found.report["suites"][0]["num_bad_rows"] == 1
    assert 7 not in {pair.global_index for pair in found.pairs}
    assert len(found.pairs) == COUNT - 1
    stub = Stub()
    with pytest.raises(InputError) as caught:
        run(data, tmp_path / "strict", stub, max_bad_share=0.0)
    assert (caught.value.code, stub.scored) == ("data_bad_rows", 0)
    for out in ("out", "strict"):
        (line,) = (tmp_path / out / "bad-rows.jsonl").read_text().splitlines()
        row = json.loads(line)
        assert (row["suite"], row["row"], row["code"]) == ("hpdv3", 7, "data_path")


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
    run(Path(sys.argv[2]), Path(sys.argv[3]), Stub(delay=0.5), suite=sys.argv[1])


def test_a_threshold_that_has_nothing_to_be_chosen_on_is_refused_before_anything_is_scored(
    tmp_path: Path,
) -> None:
    data, stub = write_data(tmp_path / "data"), Stub()
    request = SuiteRequest("hpdv3", data, SuiteOptions(share=0.0))
    with pytest.raises(InputError, match="--fit-share") as caught:
        evaluate(stub, CARD, [request], out=tmp_path / "out", tie_rule="three_class")
    assert caught.value.code == "tie_rule_validation"
    assert stub.scored == 0


def test_no_report_of_an_earlier_run_stays_beside_other_scores(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "out"
    run(data, out)
    request = SuiteRequest("hpdv3", data, SuiteOptions(share=1.0))
    other = ModelCard("other", True, ScorerIdentity("sha256:1", {"dtype": "float32"}))
    with pytest.raises(InputError) as caught:
        evaluate(Stub(), other, [request], out=out)
    assert caught.value.code == "evaluation_empty"
    assert sorted(path.name for path in out.iterdir()) == ["pairs.jsonl", "scores"]


def test_rows_that_say_nothing_are_counted_by_reason(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    rows = json.loads((data / "test.json").read_text())
    for row in rows[10:13]:
        row["confidence"] = 0.1
    (data / "test.json").write_text(json.dumps(rows))
    source = SourceSuite(
        source=HPDv3Source(min_confidence=0.5), description="", name="sure", file="test.json"
    )
    request = SuiteRequest(source, data)
    (suite,) = evaluate(Stub(), CARD, [request], out=tmp_path / "out").report["suites"]
    assert (suite["dropped"], suite["num_bad_rows"]) == ({"below_confidence": 3}, 0)
    assert suite["num_pairs"] == COUNT - 3
    page = (tmp_path / "out" / "report.html").read_text()
    assert "3 left out: <bdi>below_confidence</bdi>" in page
