"""What the README and the docs show is run here, and what they link to exists."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

import librehps
from benchmarks.calibration import simulated
from benchmarks.model import loss_ablation
from benchmarks.model.synthetic_world import table
from librehps import LibreHPS
from librehps.hub import find_checkpoint
from librehps.losses import LOSSES, RANKING_LOSSES, RATING_LOSSES

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RESULTS = ROOT / "benchmarks" / "results"
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture(scope="module")
def working_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the README assumes it: the pictures that it says how to draw, and the recipes."""
    folder = tmp_path_factory.mktemp("readme")
    drawing = [sys.executable, str(ROOT / "examples" / "drawn_scenes.py"), "pictures"]
    assert drawing[1].endswith(README.split("`python ")[1].split(" ")[0])
    subprocess.run(drawing, cwd=folder, check=True)
    (folder / "recipes").symlink_to(ROOT / "recipes")
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [
        target
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("number", range(len(blocks(README, "python"))))
def test_the_python_quickstarts_run_as_printed(number: int, working_folder: Path) -> None:
    code = blocks(README, "python")[number]
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=working_folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()


def commands() -> list[str]:
    quickstart = README.split("## Quickstart: command line")[1]
    lines = [line for block in blocks(quickstart, "console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ librehps")]


# One test for all, since a command takes up what those above it wrote.
@pytest.mark.timeout(600)
def test_the_command_line_quickstart_runs_as_printed(working_folder: Path) -> None:
    assert len(commands()) >= 8
    for command in commands():
        words = [
            name
            for word in shlex.split(command)
            for name in (
                sorted(str(p.relative_to(working_folder)) for p in working_folder.glob(word))
                if "*" in word
                else [word]
            )
        ]
        run = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=working_folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, f"{command}: {run.stderr}"
        assert run.stdout.strip(), command


def test_every_public_name_has_a_docstring() -> None:
    for name in librehps.__all__:
        value = getattr(librehps, name)
        if isinstance(value, str):
            continue
        assert value.__doc__, name
        for attribute, member in vars(value).items():
            if not attribute.startswith("_") and callable(member):
                assert member.__doc__, f"{name}.{attribute}"


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, librehps; "
        "heavy = {'torch', 'triton', 'transformers', 'numpy', 'PIL'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_page_on_losses_says_what_the_code_says() -> None:
    page = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    for code in blocks(page, "python"):
        subprocess.run([sys.executable, "-c", code], check=True)
    for name in (*LOSSES, *RANKING_LOSSES, *RATING_LOSSES):
        assert f"`{name}`" in page, name
    script = [sys.executable, str(ROOT / "examples" / "sigma_slopes.py")]
    made = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^\| `(\w+)` \|((?: [+-]?\d\.\d{3} \|)+)$", page, flags=re.MULTILINE)
    printed = {name: row.split("|")[:-1] for name, row in rows}
    assert len(printed) == 4
    for name, *slopes in (line.split() for line in made.splitlines()[1:]):
        expected = [pytest.approx(float(slope), abs=1e-9) for slope in slopes]
        assert [float(cell) for cell in printed[name]] == expected


def test_the_page_on_nano_shows_what_was_measured_of_the_model_in_the_package() -> None:
    page = (ROOT / "docs" / "nano.md").read_text(encoding="utf-8")
    found = json.loads((RESULTS / "nano.json").read_text("utf-8"))
    card = (find_checkpoint("nano") / "README.md").read_text(encoding="utf-8")
    assert table(found) in page
    assert table(found) in card
    weights = find_checkpoint("nano") / "model.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == found["weights_sha256"]
    assert sum(path.stat().st_size for path in weights.parent.iterdir()) <= 12_000_000


def test_the_page_on_nano_shows_what_sigma_could_tell() -> None:
    page = (ROOT / "docs" / "nano.md").read_text(encoding="utf-8")
    found = json.loads((RESULTS / "sigma-limits.json").read_text("utf-8"))
    rows = re.search(r"\| in the order of \| AUROC \|\n\| --- \| --- \|\n((?:\|.*\n)+)", page)
    assert rows is not None
    printed = [line.split("|")[2].strip() for line in rows[1].splitlines()]
    assert printed == [f"{of['value']:.2f}" for of in found["auroc"].values()]
    weights = find_checkpoint("nano") / "model.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == found["weights_sha256"]


def test_the_page_on_nano_shows_what_the_losses_reached() -> None:
    page = (ROOT / "docs" / "nano.md").read_text(encoding="utf-8")
    found = json.loads((RESULTS / "losses.json").read_text("utf-8"))
    assert loss_ablation.table(found["losses"]) in page


def test_the_page_on_calibration_shows_what_was_simulated() -> None:
    page = (ROOT / "docs" / "calibration.md").read_text(encoding="utf-8")
    found = json.loads((RESULTS / "calibration-simulated.json").read_text("utf-8"))
    for made in (simulated.recovery_table, simulated.error_table, simulated.coverage_table):
        assert made(found) in page
    for count, rows in found["coverage"].items():
        least = 0.93 if count == "200" else 0.915
        assert all(least <= row["all"] <= 0.97 for row in rows.values()), count
    assert max(row["alone"] for row in found["coverage"]["200"].values()) < 0.9
    assert all(0.93 <= row["coverage"] <= 0.985 for row in found["errors"])


def test_nano_ranks_the_pictures_of_the_demo_as_a_person_would(working_folder: Path) -> None:
    scorer = LibreHPS.from_pretrained("nano", device="cpu")
    pictures = sorted((working_folder / "pictures").glob("*.png"))
    ranking = scorer.rank_images(images=pictures, prompt="an image of a blue star")
    assert pictures[ranking.best.index].stem == "as-asked"
    scores = scorer.score_images(images=pictures, prompts="an image of a blue star")
    by_name = {path.stem: score for path, score in zip(pictures, scores, strict=True)}
    plain = by_name["as-asked"]
    assert plain.alignment.mean > by_name["wrong-colour"].alignment.mean
    assert plain.coherence.mean > by_name["broken"].coherence.mean
    assert plain.style.mean > by_name["noisy"].style.mean


def test_the_page_on_the_scan_shows_what_its_kernels_compile_to() -> None:
    page = (ROOT / "librehps" / "kernels" / "selective_scan" / "README.md").read_text("utf-8")
    report = json.loads((RESULTS / "triton-kernels-compiled.json").read_text("utf-8"))
    _, _, below = page.partition("| | bfloat16, sm_90 | bfloat16, sm_100 | float32, sm_90 |")
    rows: list[tuple[str, str, str]] = re.findall(
        r"^\| `(_\w+_kernel)`(?:, `([BC])`)? \|(.+)\|$", below, flags=re.MULTILINE
    )
    assert len(rows) == 7
    for name, gradient, cells in rows:
        wanted: list[str] = []
        for dtype, target in product(("bfloat16", "float32"), ("sm_90", "sm_100")):
            (one,) = (
                kernel
                for kernel in report["kernels"]
                if (kernel["kernel"], kernel["target"]) == (name, target)
                and f"selective_scan, {dtype}, 4b" in kernel["used_by"]
                and kernel["constants"].get("WRITTEN", "True") == str(gradient != "C")
            )
            counts = (one["registers"], one["shared_bytes"], one["tensor_columns"])
            wanted.append(", ".join(str(count) for count in counts if count))
        assert [cell.strip() for cell in cells.split("|")] == wanted, name
