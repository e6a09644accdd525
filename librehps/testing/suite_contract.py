"""What every registered benchmark must pass; run it over your own too."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from librehps.data.records import Comparison, Ranking
from librehps.data.sources import Record
from librehps.errors import ConfigError
from librehps.evaluate.suite import Suite, SuiteData
from librehps.evaluate.tie_rules import TIE_RULES

__all__ = ["check_suite"]

_CHUNK = 3


def _demand(condition: bool, sentence: str) -> None:
    if not condition:
        raise AssertionError(sentence)


def check_suite(suite: Any, data: Path) -> None:
    """Check a benchmark: tie rule, places, split, pictures, and that it reads the same twice.

    Args:
        suite: The benchmark, a ``Suite``.
        data: A small sample of it; pictures that are files are there, and no row is bad.

    Raises:
        AssertionError: It breaks the contract; the sentence says how.
    """
    _demand(isinstance(suite, Suite), "it has tie_rule, description, video and read")
    _demand(suite.tie_rule in TIE_RULES, f"no tie rule is called {suite.tie_rule!r}")
    _demand(bool(suite.description), "it says what it is")
    before = _files(data)
    if suite.video:
        _check_refusal(suite, data)
    else:
        first, second = suite.read(data), suite.read(data)
        _demand(first.cases == second.cases, "it reads the same records twice")
        _demand(
            (first.name, first.sha256) == (second.name, second.sha256),
            "it has the same name and SHA-256 twice",
        )
        _check_cases(first)
        _check_pictures(first)
    _demand(_files(data) == before, "it writes nothing where the data lies")


def _check_refusal(suite: Suite, data: Path) -> None:
    try:
        suite.read(data)
    except ConfigError as error:
        _demand(error.code == "suite_video", f"videos are refused as {error.code}")
    else:
        raise AssertionError("a benchmark of videos reads as if they could be scored")


def _check_cases(found: SuiteData) -> None:
    _demand(bool(found.cases), "there is a record in the sample")
    _demand(found.num_bad_rows == 0, "no row of the sample is bad")
    _demand(bool(found.name), "it has a name")
    _demand(_is_digest(found.sha256), f"{found.sha256!r} is no SHA-256")
    places = [case.global_index for case in found.cases]
    _demand(places == sorted(places), "records come in the order of their rows")
    _demand(places[0] >= 0 and places[-1] < found.num_rows, "places are those of rows")
    sides = {(case.global_index, case.for_fitting) for case in found.cases}
    _demand(len(sides) == len(set(places)), "what comes of one row is in one part")


def _check_pictures(found: SuiteData) -> None:
    images = [image for case in found.cases for image in _images(case.record)]
    for image in images:
        _demand(image.is_relative_to(found.images), f"{image} is named relative to the folder")
    for start in range(0, len(images), _CHUNK):
        part = images[start : start + _CHUNK]
        for image, source in zip(part, found.pictures.sources(part), strict=True):
            data = source.read_bytes() if isinstance(source, Path) else source
            if not isinstance(data, bytes):
                raise AssertionError(f"{image} cannot be had: {data}")
            digest = hashlib.sha256(data).hexdigest()
            _demand(found.pictures.digest(image) == digest, f"{image} has another SHA-256")


def _images(record: Record) -> tuple[Path, ...]:
    if isinstance(record, Comparison):
        return (record.image_a, record.image_b)
    return record.images if isinstance(record, Ranking) else (record.image,)


def _files(data: Path) -> list[Path]:
    return sorted((data if data.is_dir() else data.parent).rglob("*"))


def _is_digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
