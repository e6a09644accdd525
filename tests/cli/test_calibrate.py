"""``librehps calibrate``: from a file or an evaluation to a calibration that compare uses."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from librehps.calibration import fingerprint, load_calibration
from librehps.cli.main import app
from librehps.evaluate.scored import ScoredPair, write_scored
from librehps.results import AxisScore
from librehps.scorer import LibreHPS
from librehps.testing.tiny import make_tiny_checkpoint


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and pairs of six pictures of which people mostly prefer what scores higher."""
    place = tmp_path_factory.mktemp("calibrate")
    make_tiny_checkpoint(place / "model", heads=("multi_axis",))
    names = [f"{n}.png" for n in range(6)]
    for n, name in enumerate(names):
        Image.new("RGB", (128, 128), (45 * n, 255 - 48 * n, 90)).save(place / name)
    scorer = LibreHPS.from_pretrained(place / "model", device="cpu", dtype="float32")
    rows: list[dict[str, Any]] = []
    for prompt in (f"a colour {n}" for n in range(7)):
        scores = scorer.score_images(images=[place / name for name in names], prompts=prompt)
        means = [score.axis("overall").mean for score in scores]
        for first, second in combinations(range(6), 2):
            high, low = sorted((first, second), key=lambda n: -means[n])
            votes = [3, 2] if (first + second) % 3 else [2, 3]
            images = {"path1": names[high], "path2": names[low]}
            rows.append({"prompt": prompt, "choice_dist": votes, **images})
    (place / "pairs.json").write_text(json.dumps(rows))
    return place


def run(verb: str, place: Path, *arguments: object) -> Result:
    how = ["--model", str(place / "model"), "--device", "cpu", "--dtype", "float32"]
    return CliRunner().invoke(app, [verb, *how, *map(str, arguments)])


def evaluation(folder: Path, *, model: object, slope: float = 1.0, count: int = 200) -> Path:
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps({"model": {"fingerprint": model}}))
    pairs = [
        ScoredPair(
            suite="hpdv3",
            global_index=n,
            for_fitting=n % 2 == 0,
            key="",
            prompt=f"p{n // 4}",
            image_a="a.png",
            image_b="b.png",
            targets={"overall": 0.5 + 0.08 * slope * (n % 11 - 5)},
            votes=None,
            scores_a={"overall": AxisScore(n % 11 - 5.0)},
            scores_b={"overall": AxisScore(0.1 * (n % 3))},
        )
        for n in range(count)
    ]
    write_scored(folder / "pairs.jsonl", pairs)
    return folder


def test_a_file_of_pairs_becomes_a_calibration(place: Path, tmp_path: Path) -> None:
    arguments = ("--data", place / "pairs.json", "--out", tmp_path / "new", "--kind", "temperature")
    result = run("calibrate", place, *arguments, "--cache", tmp_path / "cache")
    assert result.exit_code == 0, result.stderr
    found = load_calibration(tmp_path / "new", model=fingerprint(place / "model"), axis="overall")
    assert (found.kind, found.fits["<global>"].num_pairs) == ("temperature", 105)
    assert (tmp_path / "new" / "calibration.png").read_bytes().startswith(b"\x89PNG")
    head, row, _ = [line.split("\t") for line in result.stdout.splitlines()]
    assert head[:3] == ["benchmark", "judged on", "pairs"]
    assert row[1:3] == ["folds", "105"]
    assert all(" -> " in cell for cell in row[4:])


def test_an_evaluation_needs_no_model(place: Path, tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "report", model="sha256:7")
    out = tmp_path / "own.json"
    result = CliRunner().invoke(
        app,
        [
            *("calibrate", "--evaluation", str(folder), "--out", str(out), "--json"),
            *("--plot", str(tmp_path / "drawn.png")),
        ],
    )
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["file"], document["model"]) == (str(out), "sha256:7")
    hpdv3 = document["benchmarks"]["hpdv3"]
    assert hpdv3["judged_on"] == "held out"
    assert hpdv3["after"]["brier"]["value"] < hpdv3["before"]["brier"]["value"]
    assert load_calibration(out, "hpdv3", model="sha256:7").fits["hpdv3"].num_pairs == 100
    assert (tmp_path / "drawn.png").exists()


def test_what_cannot_be_fitted_is_status_1(place: Path, tmp_path: Path) -> None:
    for count, slope, code in ((20, 1.0, "too_few"), (200, -1.0, "not_monotone")):
        folder = evaluation(tmp_path / code, model="sha256:7", slope=slope, count=count)
        result = run("calibrate", place, "--evaluation", folder, "--out", tmp_path / "x.json")
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"[calibration_{code}]" in result.stderr
    assert not (tmp_path / "x.json").exists()
    folder = evaluation(tmp_path / "unknown", model=None)
    result = run("calibrate", place, "--evaluation", folder, "--out", tmp_path / "x.json")
    assert (result.exit_code, "[data_file]" in result.stderr) == (1, True)


def test_wrong_usage_is_status_2(place: Path, tmp_path: Path) -> None:
    data = ("--data", place / "pairs.json", "--out", tmp_path / "x.json")
    for arguments, said in (
        (("--out", tmp_path / "x.json"), "give either"),
        ((*data, "--evaluation", tmp_path), "give either"),
        ((*data, "--kind", "plat"), "did you mean 'platt'"),
        ((*data, "--kind", "gaussian"), "[calibration_kind]"),
        ((*data, "--axis", "beauty"), "[calibration_axis]"),
        ((*data, "--ties", "double"), "[calibration_ties]"),
    ):
        result = run("calibrate", place, *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in " ".join(result.stderr.split())


def test_compare_takes_a_calibration_for_this_model(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    fits = {"<global>": {"parameters": {"temperature": 1e6}, "num_pairs": 40, "num_ties": 0}}
    fields = {"format_version": 1, "kind": "temperature", "axis": "overall", "ties": "half"}
    pictures = (place / "0.png", place / "5.png", "--prompt", "a colour", "--json")
    for model, status in ((fingerprint(place / "model"), 0), ("sha256:0", 2)):
        file.write_text(json.dumps({**fields, "model": model, "fits": fits}))
        result = run("compare", place, *pictures, "--calibration", file)
        assert result.exit_code == status, result.stderr
        if status == 0:
            assert json.loads(result.stdout)["comparison"]["probability"] < 0.501
        else:
            assert "[calibration_other_model]" in result.stderr
    other = run("compare", place, *pictures)
    assert json.loads(other.stdout)["comparison"]["probability"] > 0.501
