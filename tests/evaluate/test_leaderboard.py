"""Leaderboards from beginning to end: what is written, what is left out, and a kill midway."""

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
from librehps.evaluate.leaderboard import Leaderboard, rank_generators, read_generated
from librehps.evaluate.outcomes import make_outcome
from librehps.evaluate.run import ModelCard
from librehps.evaluate.score_cache import Outcome
from librehps.results import AxisScore, Score

CARD = ModelCard("stub", True, ScorerIdentity("sha256:0", {"dtype": "float32"}))
GENERATORS = {"good": 2.0, "fair": 1.0, "poor": 0.0}
COUNT = 30


class Stub:
    """Scores by what stands in the file, and in its last bits by what is scored with it."""

    deterministic = False

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.scored = 0

    def score_images(
        self,
        *,
        images: Sequence[Any],
        prompts: Sequence[str],
        on_error: str,
        max_batch_tokens: int,
    ) -> list[Outcome]:
        assert on_error == "return"
        time.sleep(self.delay)
        self.scored += len(images)
        shift = 1e-7 * sum(map(len, prompts))
        return [self._score(Path(image).read_text(), shift) for image in images]

    @staticmethod
    def _score(text: str, shift: float) -> Outcome:
        if text.startswith("bad"):
            return InputError("is no image", code="image_damaged")
        return Score(overall=AxisScore(float(text.split(maxsplit=1)[0]) + shift, 0.5))


def write_folders(root: Path, *, count: int = COUNT) -> Path:
    for name, quality in GENERATORS.items():
        for category in ("x", "y"):
            folder = root / "pictures" / name / category
            folder.mkdir(parents=True)
            for place in range(count):
                wobble = (place * 7 + len(name) * 3 + ord(category)) % 10 / 4
                # The number of the picture keeps two files from being the same.
                text = f"{quality + wobble} {name} {category} {place}"
                (folder / f"{place:05d}.png").write_text(text)
    prompts = {c: [f"{c} prompt {place}" for place in range(count)] for c in ("x", "y")}
    (root / "prompts.json").write_text(json.dumps(prompts))
    return root


def run(root: Path, out: Path, scorer: Stub | None = None, **options: Any) -> Leaderboard:
    return rank_generators(
        scorer or Stub(),
        CARD,
        root / "pictures",
        out=out,
        **{"prompts": root / "prompts.json", **options},
    )


def without_time(path: Path) -> str:
    lines = path.read_text().splitlines(keepends=True)
    assert sum('"created"' in line for line in lines) == 1
    return "".join(line for line in lines if '"created"' not in line)


def test_the_folder_has_every_number_and_what_it_is_made_of(tmp_path: Path) -> None:
    root, out = write_folders(tmp_path), tmp_path / "out"
    found = run(root, out)
    assert sorted(path.name for path in out.iterdir()) == [
        *("pictures.jsonl", "report.html", "report.json", "scores", "strengths.svg")
    ]
    report = json.loads((out / "report.json").read_text())
    assert report == found.report
    assert [one["name"] for one in report["generators"]] == ["good", "fair", "poor"]
    assert [one["rank"] for one in report["generators"]] == [1, 2, 3]
    rows = [json.loads(line) for line in (out / "pictures.jsonl").read_text().splitlines()]
    assert len(rows) == 3 * 2 * COUNT
    for one in report["generators"]:
        own = [row for row in rows if row["generator"] == one["name"]]
        means = [row["scores"]["overall"]["mean"] for row in own]
        assert one["mean"]["value"] == pytest.approx(sum(means) / len(means))
        assert (one["num_pictures"], one["num_comparisons"]) == (2 * COUNT, 4 * COUNT)
        assert list(one["categories"]) == ["x", "y"]
    assert rows[0]["image"] == "fair/x/00000.png"
    assert report["ranking"]["num_comparisons"] == 6 * COUNT
    assert report["ranking"]["rule"]["name"] == "probability"
    assert report["model"]["fingerprint"] == "sha256:0"
    assert report["data"]["layout"] == "folders"
    assert report["notes"] == found.notes == []
    assert "<circle" in (out / "strengths.svg").read_text()


def test_the_same_pictures_as_rows_give_the_same_ranking(tmp_path: Path) -> None:
    root = write_folders(tmp_path)
    first = run(root, tmp_path / "out")
    prompts = json.loads((root / "prompts.json").read_text())
    rows = [
        {
            "image": path.relative_to(root).as_posix(),
            "prompt": prompts[path.parent.name][int(path.stem)],
            "model": path.parent.parent.name,
            "category": path.parent.name,
        }
        for path in sorted((root / "pictures").rglob("*.png"))
    ]
    (root / "list.json").write_text(json.dumps(rows))
    again = rank_generators(
        Stub(), CARD, root / "list.json", out=tmp_path / "rows", cache=tmp_path / "out" / "scores"
    )
    assert again.report["generators"] == first.report["generators"]
    assert again.report["data"]["sha256"] is not None


def test_a_second_run_scores_nothing_whatever_is_asked(tmp_path: Path) -> None:
    root, stub = write_folders(tmp_path), Stub()
    run(root, tmp_path / "out", stub)
    assert stub.scored == 3 * 2 * COUNT
    first = without_time(tmp_path / "out" / "report.json")
    run(root, tmp_path / "other", stub, cache=tmp_path / "out" / "scores")
    assert without_time(tmp_path / "other" / "report.json") == first
    found = run(root, tmp_path / "out", stub, outcome=make_outcome("higher"), page=False)
    assert stub.scored == 3 * 2 * COUNT
    assert found.report["ranking"]["rule"]["name"] == "higher"
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_kill_changes_no_byte_of_the_report(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "data")
    run(root, tmp_path / "whole")
    out = tmp_path / "killed"
    # This file itself, which then ranks: see its end.
    process = subprocess.Popen([sys.executable, __file__, str(root), str(out)])
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        if any(path.read_bytes().count(b"\n") > 1 for path in out.glob("scores/*.jsonl")):
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "report.json").exists()
    stub = Stub()
    run(root, out, stub)
    assert 0 < stub.scored < 3 * 2 * COUNT
    for name in ("report.json", "report.html"):
        assert without_time(out / name) == without_time(tmp_path / "whole" / name)
    for name in ("pictures.jsonl", "strengths.svg"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_bad_pictures_are_counted_and_listed(tmp_path: Path) -> None:
    root, out = write_folders(tmp_path), tmp_path / "out"
    (root / "pictures/good/x/00003.png").write_text("bad")
    (root / "pictures/fair/x/00004.png").unlink()
    (root / "pictures/poor/y/extra.png").write_text("1.0")
    found = run(root, out, max_bad_share=0.02)
    listed = [json.loads(line) for line in (out / "bad-items.jsonl").read_text().splitlines()]
    codes = {Path(row["image"]).name: row["code"] for row in listed}
    assert codes == {
        "extra.png": "prompt_missing",
        "00003.png": "image_damaged",
        "00004": "image_missing",
    }
    assert found.report["num_bad_items"] == len(found.bad_items) == 3
    assert [one.num_pictures for one in found.generators] == [59, 59, 60]
    (said,) = found.notes
    assert "58 of 60 prompts are common to all" in said
    # Of 181 pictures, one without a prompt counts along with the others.
    for share in (0.0, 0.005, 0.0165):
        with pytest.raises(InputError) as caught:
            run(root, tmp_path / f"at-{share}", max_bad_share=share)
        assert caught.value.code == "evaluation_bad_items"
        assert (tmp_path / f"at-{share}" / "bad-items.jsonl").exists()
        assert not (tmp_path / f"at-{share}" / "report.json").exists()
    assert len(run(root, out, max_bad_share=0.0167).bad_items) == 3


def test_bad_rows_are_counted_and_listed(tmp_path: Path) -> None:
    for place in range(20):
        (tmp_path / f"{place}.png").write_text(f"{place}.0")
    rows: list[dict[str, str]] = [
        {"image": f"{place}.png", "prompt": f"p{place // 2}", "model": "ab"[place % 2]}
        for place in range(20)
    ]
    rows.append({"image": "../0.png", "prompt": "p0", "model": "c"})
    (tmp_path / "list.json").write_text(json.dumps(rows))
    with pytest.raises(InputError) as caught:
        rank_generators(Stub(), CARD, tmp_path / "list.json", out=tmp_path / "out")
    assert caught.value.code == "data_bad_rows"
    # Listed where there are too many, too.
    (row,) = map(json.loads, (tmp_path / "out" / "bad-rows.jsonl").read_text().splitlines())
    assert (row["row"], row["code"]) == (20, "data_path")
    found = rank_generators(
        Stub(), CARD, tmp_path / "list.json", out=tmp_path / "out", max_bad_share=0.05
    )
    assert (found.num_bad_rows, found.report["data"]["num_bad_rows"]) == (1, 1)
    assert [one.name for one in found.generators] == ["b", "a"]
    assert list(found.generators[0].categories) == ["all"]


def test_a_generator_without_a_score_is_named(tmp_path: Path) -> None:
    root = write_folders(tmp_path, count=4)
    for picture in (root / "pictures" / "poor").rglob("*.png"):
        picture.write_text(f"bad {picture}")
    found = run(root, tmp_path / "out", max_bad_share=0.5)
    assert [one.name for one in found.generators] == ["good", "fair"]
    assert "No picture of poor has a score: left out" in found.notes
    for picture in (root / "pictures").rglob("*.png"):
        picture.write_text(f"bad {picture}")
    with pytest.raises(InputError) as caught:
        run(root, tmp_path / "out", max_bad_share=1.0)
    assert caught.value.code == "evaluation_empty"


def test_what_makes_no_sense_is_refused_before_anything_is_scored(tmp_path: Path) -> None:
    root, stub, out = write_folders(tmp_path, count=2), Stub(), tmp_path / "out"
    for options, code in (
        ({"max_bad_share": 1.5}, "evaluation_value"),
        ({"max_bad_share": float("nan")}, "evaluation_value"),
        ({"axis": "styel"}, "name_unknown"),
    ):
        with pytest.raises(ConfigError) as caught:
            run(root, out, stub, **options)
        assert caught.value.code == code
    (root / "list.json").write_text("[]")
    with pytest.raises(ConfigError) as caught:
        read_generated(root / "list.json", prompts=root / "prompts.json")
    assert caught.value.code == "leaderboard_prompts"
    assert stub.scored == 0
    assert not out.exists()


def test_an_axis_that_the_model_lacks_is_said_with_those_that_it_has(tmp_path: Path) -> None:
    root = write_folders(tmp_path, count=2)
    with pytest.raises(ConfigError, match="no score on style; on: overall") as caught:
        run(root, tmp_path / "out", axis="style")
    assert caught.value.code == "axis_missing"


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), Stub(delay=0.5))
