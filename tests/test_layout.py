"""Tests mirror the package, files stay short, and names mean something."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "librehps"
TESTS = ROOT / "tests"
SCRIPTS = ROOT / "scripts"
# Tests of several modules at once; everything else in tests/ mirrors one module, or one script.
LANES = {"parity", "gpu", "compile"}
SPECIAL = {"conftest.py", "test_layout.py", "test_docs.py"}
HARD_LIMIT = 600
REFUSED = {"utils", "util", "helpers", "helper", "misc", "common"}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if not path.name.startswith("__"))
PYTHON_FILES = sorted(
    path
    for folder in ("librehps", "tests", "benchmarks", "examples", "scripts")
    for path in (ROOT / folder).rglob("*.py")
)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_every_module_has_its_test_file(module: Path) -> None:
    inside = module.relative_to(PACKAGE)
    mirror = TESTS / inside.parent / f"test_{inside.name}"
    assert mirror.is_file(), f"{relative(module)} has no {relative(mirror)}"


def test_every_test_file_mirrors_a_module() -> None:
    orphans: list[str] = []
    for path in TESTS.rglob("*.py"):
        inside = path.relative_to(TESTS)
        if (
            inside.parts[0] in LANES
            or inside.name in SPECIAL
            or not inside.name.startswith("test_")
        ):
            continue
        name = inside.name.removeprefix("test_")
        if inside.parts[0] == "scripts":
            mirrored = any((SCRIPTS / name).with_suffix(kind).is_file() for kind in (".py", ".sh"))
        else:
            mirrored = (PACKAGE / inside.parent / name).is_file()
        if not mirrored:
            orphans.append(relative(path))
    assert orphans == []


@pytest.mark.parametrize("path", PYTHON_FILES, ids=relative)
def test_no_file_outgrows_the_limit(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= HARD_LIMIT, f"{relative(path)} has {lines} lines: split it by concept"


def test_no_file_has_a_name_without_meaning() -> None:
    assert [relative(path) for path in PYTHON_FILES if path.stem in REFUSED] == []


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_every_module_says_what_it_is_for(module: Path) -> None:
    assert module.read_text(encoding="utf-8").startswith(('"""', 'r"""'))
